// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// The page that a console's link opens. noVNC draws the screen: https://novnc.com/noVNC/docs/API.html
import RFB from "./core/rfb.js";

const part = (name) => document.getElementById(name);
const tell = (state, text) => {
    document.body.dataset.state = state;
    part("status").textContent = text;
};

function open(token) {
    const screen = new RFB(part("screen"), `wss://${location.host}/websockify?token=${token}`);
    let connected = false;
    screen.scaleViewport = true;
    screen.background = "#222";
    screen.addEventListener("connect", () => {
        connected = true;
        part("login").hidden = true;
        part("keys").hidden = false;
        tell("connected", document.title);
        screen.focus();
    });
    screen.addEventListener("desktopname", (event) => {
        document.title = event.detail.name;
        tell(document.body.dataset.state, document.title);
    });
    screen.addEventListener("disconnect", () => {
        part("keys").hidden = true;
        part("login").hidden = true;
        tell("closed", connected ? "The console has ended." : "No console: this link is wrong or has expired, or the VM"
            + " does not run. Ask for another link: vm_console.");
    });
    screen.addEventListener("credentialsrequired", () => {
        part("login").hidden = false;
        part("password").focus();
    });
    part("login").addEventListener("submit", (event) => {
        event.preventDefault();
        screen.sendCredentials({ password: part("password").value });
    });
    part("keys").addEventListener("click", () => {
        screen.sendCtrlAltDel();
        screen.focus();
    });
}

const token = location.hash.slice(1);
// What the browser remembers of this page is without the token.
history.replaceState(null, "", location.pathname);
if (/^[0-9a-f]{64}$/.test(token)) {
    open(token);
} else {
    tell("closed", "This address has no token. Open the whole link that vm_console printed.");
}
