#!/bin/bash -eu
# Start the FRR daemons that /etc/frr/daemons enables and that do not run yet. Those that run are left running.
#
# FRR's own way to do this is the first half of `frrinit.sh reload`: watchfrr alone is started again, with the new list of
# daemons, and starts those that do not answer. Its second half applies /etc/frr/frr.conf with frr-reload.py: that drops what
# an operator has not saved, and one bad line in the file stops every daemon (FRR 8.4). So only the first half is run here,
# as systemd's reload of the unit: in a reload, and nowhere else, systemd follows the watchfrr that replaces its main process.
#
# Where FRR runs no routing protocol yet there is no session to lose: there it is restarted whole, so that zebra starts with
# its options of /etc/frr/daemons.
has_routing_protocol() {
  local daemon
  for daemon in $(vtysh -c 'show daemons'); do
    case $daemon in
      zebra | mgmtd | staticd | watchfrr) ;;
      *) return 0 ;;
    esac
  done
  return 1
}

# watchfrr's pid file is there before the daemons answer.
wait_for_daemons() {
  local daemon missing running
  for _ in $(seq 50); do
    running=" $(vtysh -c 'show daemons' || true) "
    missing=
    for daemon in "$@"; do
      [[ $running == *" $daemon "* ]] || missing="$missing $daemon"
    done
    [ -n "$missing" ] || exit 0
    sleep 0.2
  done
  echo "Not running after 10 seconds:$missing. What FRR says: journalctl -u frr" >&2
  exit 1
}

if ! has_routing_protocol; then
  # The package's unit allows three starts in three minutes, and the installation was one.
  systemctl reset-failed frr
  systemctl restart frr
  wait_for_daemons "$@"
fi

drop_in=/run/systemd/system/frr.service.d/vmcluster-start-daemons.conf
script=/run/vmcluster-start-frr-daemons

trap 'rm -f "$drop_in" "$script"; systemctl daemon-reload' EXIT

install -m 0755 /dev/null "$script"
cat > "$script" <<'REPLACE_WATCHFRR'
#!/bin/bash
log_success_msg() { echo "$@"; }
log_warning_msg() { echo "$@" >&2; }
log_failure_msg() { echo "$@" >&2; }
for folder in /usr/lib/frr /usr/libexec/frr; do
  [ ! -r "$folder/frrcommon.sh" ] || . "$folder/frrcommon.sh"
done

# systemd tells the watchdog's interval to a unit's start command only: hand on what the first watchfrr was told.
pid=$(cat "$V_PATH/watchfrr.pid")
told=$(tr '\0' '\n' < "/proc/$pid/environ" | sed -n 's/^WATCHDOG_USEC=//p')
[ -z "$told" ] || export WATCHDOG_USEC="$told"

daemon_list daemons
watchfrr_options="$watchfrr_options $daemons"
daemon_stop watchfrr && daemon_start watchfrr || exit 1

# With cgroup version 1 a reload command has a cgroup of its own, which is emptied when the command ends.
pid=$(cat "$V_PATH/watchfrr.pid")
group=$(sed -n 's/^[0-9]*:name=systemd://p' "/proc/$pid/cgroup")
main=${group%/.control}
main=${main%/control}
if [ -d /sys/fs/cgroup/systemd ] && [ -n "$group" ] && [ "$group" != "$main" ]; then
  echo "$pid" > "/sys/fs/cgroup/systemd$main/tasks"
fi
REPLACE_WATCHFRR

mkdir -p "${drop_in%/*}"
printf '[Service]\nExecReload=\nExecReload=%s\n' "$script" > "$drop_in"
systemctl daemon-reload
systemctl reload frr

wait_for_daemons "$@"
