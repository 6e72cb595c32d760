// Goes on when each application's frame has loaded or failed to, or else after five seconds, once.
const next = document.getElementById("next").href;
let gone = false;
function go() {
  if (!gone) location.replace(next);
  gone = true;
}
addEventListener("load", go);
setTimeout(go, 5000);
