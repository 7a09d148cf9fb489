# SPDX-License-Identifier: GPL-3.0-or-later
# What runs in the lab's qemu guests. Perl, as every Debian has it and a guest's emulated processor starts it fast.
#   guest.pl network FILE   the `ip` commands of a network-config (version 2) or of a kernel command line
#   guest.pl serve          echo (TCP and UDP, port 7), a number every 10 ms (TCP, port 7770), the ends of probes on
#                           the guest's serial ports, and the power button
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in6 IPPROTO_IPV6 IPV6_V6ONLY SOCK_DGRAM);

use constant { CLOCK_GETTIME => 228, REALTIME => 0, MONOTONIC => 1 };    # x86-64
use constant SIOCGSTAMPNS => 0x8907;    # when the kernel got the packet that was read last
use constant { ECHO_PORT => 7, TICK_PORT => 7770, TICK => 0.01, PORTS => 4 };

sub read_clock {
    my $buffer = pack 'qq', 0, 0;
    syscall CLOCK_GETTIME, $_[0], $buffer;
    my ($seconds, $nanoseconds) = unpack 'qq', $buffer;
    return $seconds * 1_000_000_000 + $nanoseconds;
}

sub list_folder { opendir my $folder, $_[0] or return; return map { "$_[0]/$_" } grep { !/^\./ } readdir $folder }

sub read_file { open my $file, '<', $_[0] or die "$_[0]: $!\n"; local $/; return scalar <$file> }

# --- network ---------------------------------------------------------------------------------------------------------

# A block of YAML as nested hashes and lists: what network-config needs of it, and no more.
sub read_yaml {
    my ($lines, $indent) = @_;
    my $found;
    while (@$lines && $lines->[0][0] >= $indent) {
        my ($at, $text) = @{ $lines->[0] };
        if ($text =~ s/^- +//) {
            $found //= [];
            if ($text =~ /^[\w-]+:( |$)/) { $lines->[0] = [ $at + 2, $text ]; push @$found, read_yaml($lines, $at + 2) }
            else                          { shift @$lines; push @$found, unquote($text) }
            next;
        }
        last if ref $found eq 'ARRAY';
        my ($key, $value) = $text =~ /^("[^"]*"|[^:]+): *(.*)$/ or die "unreadable: $text\n";
        shift @$lines;
        if ($value ne '') { $found->{ unquote($key) } = unquote($value); next }
        my $deeper = @$lines ? $lines->[0][0] : -1;
        my $is_list = @$lines && $deeper == $at && $lines->[0][1] =~ /^- /;
        $found->{ unquote($key) } = $deeper > $at || $is_list ? read_yaml($lines, $deeper) : undef;
    }
    return $found;
}

sub unquote { my ($text) = @_; $text =~ s/^(["'])(.*)\1$/$2/; return $text }

sub show_network {
    my ($file) = @_;
    my $text = read_file($file);
    my @nics = $file =~ /cmdline/ ? read_cmdline($text) : read_network_config($text);
    for my $nic (@nics) {
        print "ip link set $nic->{name} mtu $nic->{mtu}\n" if $nic->{mtu};
        print "ip link set $nic->{name} up\n";
        print "ip addr add $_ dev $nic->{name}\n" for @{ $nic->{addresses} };
        for my $route (@{ $nic->{routes} }) {
            my ($to, $via) = @$route;
            my $family = $via =~ /:/ ? '-6' : '-4';
            print "ip $family route add $via dev $nic->{name}\n" unless $via =~ /^fe80:/i;
            print "ip $family route add default via $via dev $nic->{name}\n";
        }
    }
}

sub read_cmdline {
    my %given = $_[0] =~ /\bvm\.(\w+)=(\S+)/g;
    my @routes = map { [ 'default', $_ ] } split /,/, $given{gateways} // '';
    return { name => 'eth0', mtu => $given{mtu}, addresses => [ split /,/, $given{addresses} // '' ], routes => \@routes };
}

sub read_network_config {
    my @lines = map { /^( *)(\S.*?)\s*$/ && $2 !~ /^#/ ? [ length $1, $2 ] : () } split /\n/, $_[0];
    my $top = read_yaml(\@lines, 0);
    $top = $top->{network} if $top->{network};
    die "version $top->{version}\n" unless $top->{version} == 2;
    my @nics;
    for my $nic (values %{ $top->{ethernets} }) {
        my $name = find_interface(lc $nic->{match}{macaddress}) or next;
        my @routes = map { [ $_->{to}, $_->{via} ] } @{ $nic->{routes} // [] };
        push @routes, [ 'default', $nic->{gateway6} ] if $nic->{gateway6};
        push @nics, { name => $name, mtu => $nic->{mtu}, addresses => $nic->{addresses} // [], routes => \@routes };
    }
    return @nics;
}

sub find_interface {
    for my $path (list_folder('/sys/class/net')) {
        (my $mac = read_file("$path/address")) =~ s/\s//g;
        return $path =~ s{.*/}{}r if $mac eq $_[0];
    }
    return;
}

# --- services --------------------------------------------------------------------------------------------------------

sub open_socket {
    my ($type, $address, $port) = @_;
    my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
    socket my $link, $family, $type, 0 or die "socket: $!\n";
    setsockopt $link, SOL_SOCKET, SO_REUSEADDR, 1;
    setsockopt $link, SOL_SOCKET, SO_RCVBUF, 4 << 20;
    setsockopt $link, IPPROTO_IPV6, IPV6_V6ONLY, 0 if $address eq '::';
    bind $link, pack_address($address, $port) or die "bind $address: $!\n";
    return $link;
}

sub pack_address {
    my ($address, $port) = @_;
    return pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) if $address =~ /:/;
    return pack_sockaddr_in($port, inet_pton(AF_INET, $address));
}

sub serve_echo {
    my $datagrams = open_socket(SOCK_DGRAM, '::', ECHO_PORT);
    my ($echo, $tick) = map { open_socket(SOCK_STREAM, '::', $_) } ECHO_PORT, TICK_PORT;
    listen $_, 16 for $echo, $tick;
    my (%clients, %counters);
    my $next = read_clock(MONOTONIC);
    while (1) {
        my $wanted = '';
        vec($wanted, fileno $_, 1) = 1 for $datagrams, $echo, $tick, values %clients;
        my $wait = %counters ? ($next - read_clock(MONOTONIC)) / 1e9 : undef;
        select $wanted, undef, undef, defined $wait && $wait < 0 ? 0 : $wait;
        if (vec $wanted, fileno $datagrams, 1) {
            my $from = recv $datagrams, my $packet, 65536, 0;
            send $datagrams, $packet, 0, $from if defined $from;
        }
        for my $listener (grep { vec $wanted, fileno $_, 1 } $echo, $tick) {
            accept my $client, $listener or next;
            $clients{ fileno $client } = $client;
            $counters{ fileno $client } = 0 if $listener == $tick;
        }
        for my $number (grep { vec $wanted, $_, 1 } keys %clients) {
            my $read = sysread $clients{$number}, my $data, 65536;
            next if $read && (exists $counters{$number} || syswrite $clients{$number}, $data);
            close delete $clients{$number};
            delete $counters{$number};
        }
        next unless %counters && read_clock(MONOTONIC) >= $next;
        $next += TICK * 1e9 while $next <= read_clock(MONOTONIC);
        for my $number (keys %counters) { syswrite $clients{$number}, $counters{$number}++ . "\n" }
    }
}

my ($unread, $ahead) = ('', 0);    # ahead: of this guest's clock is the machine's, which the other end goes by

sub read_time { return read_clock(REALTIME) + $ahead }

# A serial port of the guest: one end of a probe at a time, told of by a line, ended by `stop`. What it saw goes back with
# its length in front. While nobody is connected on the other side, as during a migration, reading gives nothing.
sub serve_port {
    my ($path) = @_;
    open my $port, '+<', $path or die "$path: $!\n";
    while (1) {
        my ($now, $verb, @words) = split ' ', wait_for_line($port);
        $ahead = $now - read_clock(REALTIME);
        my $seen = eval { $verb eq 'send' ? send_stream($port, @words) : receive_stream($port, @words) };
        $seen = "failed: $@" unless defined $seen;
        write_all($port, length($seen) . "\n" . $seen);
    }
}

sub read_line {
    my ($port, $seconds) = @_;
    my $wanted = '';
    vec($wanted, fileno $port, 1) = 1;
    if (select $wanted, undef, undef, $seconds) { sysread $port, $unread, 4096, length $unread or select undef, undef, undef, 0.0005 }
    return $unread =~ s/^(.*)\n// ? $1 : undef;
}

sub wait_for_line {
    my ($port) = @_;
    while (1) {
        my $line = read_line($port, 10);
        return $line if defined $line && $line ne 'stop';
        select undef, undef, undef, 0.02;    # nobody is connected
    }
}

sub write_all {
    my ($port, $data) = @_;
    while (length $data) { my $done = syswrite $port, $data, 4096; substr $data, 0, $done // 0, '' }
}

sub send_stream {
    my ($port, $address, $target, $to, $stream, $rate, $size) = @_;
    my $link = open_socket(SOCK_DGRAM, $address, 0);
    my $where = pack_address($target, $to);
    my ($number, $unsent, $late, $latest) = (0, 0, 0, 0);
    my $first = my $last = read_time();
    write_all($port, "sending\n");
    # One look at the clock per packet: each costs an emulated processor as much as the sending.
    my ($start, $step) = (read_clock(MONOTONIC), 1e9 / $rate);
    my $since = read_time() - $start;
    while (1) {
        last if $number % 16 == 0 && (read_line($port, 0) // '') eq 'stop';
        my $now = read_clock(MONOTONIC);
        my $behind = $now - $start - $number * $step;
        if ($behind < 0) { select undef, undef, undef, -$behind / 1e9; $now = read_clock(MONOTONIC) }
        $behind = $now - $start - $number * $step;
        $latest = $behind if $behind > $latest;
        $late++ if $behind > 1e6;
        $last = $now + $since;
        my $packet = pack 'a4NQ>Q>', 'vmlp', $stream, $number, $last;
        $packet .= "\0" x ($size - length $packet) if $size > length $packet;
        defined send $link, $packet, 0, $where or $unsent++;
        $number++;
    }
    my $milliseconds = $latest / 1e6;
    return qq({"sent": $number, "unsent": $unsent, "late": $late, "latest_ms": $milliseconds, "first_ns": $first, "last_ns": $last});
}

sub receive_stream {
    my ($port, $address, $stream) = @_;
    my $link = open_socket(SOCK_DGRAM, $address, 0);
    my $name = getsockname $link;
    my ($number) = $address =~ /:/ ? unpack_sockaddr_in6($name) : unpack_sockaddr_in($name);
    ioctl $link, SIOCGSTAMPNS, my $unused = pack 'qq', 0, 0;    # from now on the kernel notes arrivals
    write_all($port, "$number\n");
    my ($seen, $looked) = ('', 0);
    while (1) {
        my $wanted = '';
        vec($wanted, fileno $link, 1) = 1;
        if (select $wanted, undef, undef, 0.02) {
            recv $link, my $packet, 2048, 0;
            my $stamp = pack 'qq', 0, 0;
            my ($mark, $of, $count, $sent) = unpack 'a4NQ>Q>', $packet . "\0" x 24;
            if ($mark eq 'vmlp' && $of == $stream) {
                my $known = ioctl $link, SIOCGSTAMPNS, $stamp;
                my ($seconds, $nanoseconds) = unpack 'qq', $stamp;
                my $arrived = $known ? $seconds * 1_000_000_000 + $nanoseconds + $ahead : read_time();
                $seen .= pack 'Q3', $count, $sent, $arrived;
            }
        }
        next if read_clock(MONOTONIC) - $looked < 2e7;
        $looked = read_clock(MONOTONIC);
        return $seen if (read_line($port, 0) // '') eq 'stop';
    }
}

sub open_input { open my $input, '<', $_[0] or return; return $input }

sub serve_power_button {
    my @inputs = @_;
    while (@inputs) {
        my $wanted = '';
        vec($wanted, fileno $_, 1) = 1 for @inputs;
        select $wanted, undef, undef, undef;
        for my $input (grep { vec $wanted, fileno $_, 1 } @inputs) {
            sysread $input, my $event, 24;
            my (undef, undef, $kind, $code, $value) = unpack 'qqSSl', $event;
            next unless $kind == 1 && $code == 116 && $value == 1;    # EV_KEY, KEY_POWER
            open my $console, '>', '/dev/console';
            syswrite $console, "vmlab: shutting down\n";
            exec 'poweroff', '-f';
        }
    }
}

$SIG{PIPE} = 'IGNORE';
if ($ARGV[0] eq 'network') { show_network($ARGV[1]); exit }
# Opened before the guest is said to be up: a button that nobody listens to is pressed in vain.
my @inputs = map { open_input($_) } grep { /event/ } list_folder('/dev/input');
my @ports;
my $has_ports = grep { /virtio\d/ } list_folder('/sys/bus/virtio/drivers/virtio_console');
for (1 .. 100) {    # qemu tells of them one by one
    @ports = map { s{.*/}{/dev/}r } list_folder('/sys/class/virtio-ports');
    last if !$has_ports || @ports == PORTS;
    select undef, undef, undef, 0.05;
}
my @services = (\&serve_echo, sub { serve_power_button(@inputs) }, map { my $path = $_; sub { serve_port($path) } } @ports);
for my $service (@services) { next if fork; eval { $service->() }; print STDERR "vmlab: service ended: $@\n"; exit }
syswrite STDOUT, "vmlab: ready\n";
1 while wait > 0;
