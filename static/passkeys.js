// Passkeys: the form with the id `passkey` asks the browser for one and is sent with its answer. It is shown where the
// browser has passkeys. What the server asks stands in `data-options`: JSON in which bytes are base64url.
const form = document.getElementById("passkey");
const creates = "creates" in form.dataset;
let waiting;

const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

const toText = (buffer) =>
  buffer
    ? btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
    : null;

function options() {
  const options = JSON.parse(form.dataset.options);
  options.challenge = toBytes(options.challenge);
  if (options.user) options.user.id = toBytes(options.user.id);
  for (const known of [...(options.allowCredentials ?? []), ...(options.excludeCredentials ?? [])]) {
    known.id = toBytes(known.id);
  }
  return options;
}

// `toJSON` of the credential says the same, but not every browser has it.
function answer({ id, rawId, type, response }) {
  const said = { clientDataJSON: toText(response.clientDataJSON) };
  if (creates) {
    said.attestationObject = toText(response.attestationObject);
    said.transports = response.getTransports?.() ?? [];
  } else {
    said.authenticatorData = toText(response.authenticatorData);
    said.signature = toText(response.signature);
    said.userHandle = toText(response.userHandle);
  }
  return JSON.stringify({ id, rawId: toText(rawId), type, response: said });
}

// With `mediation` the browser offers passkeys where names are typed, and waits until one is chosen there.
async function ask(mediation) {
  waiting?.abort();
  const mine = (waiting = new AbortController());
  const request = { publicKey: options(), signal: mine.signal, ...mediation };
  try {
    const credential = await (creates ? navigator.credentials.create(request) : navigator.credentials.get(request));
    form.elements.answer.value = answer(credential);
    form.submit();
  } catch (error) {
    // Something else was asked meanwhile.
    if (mine !== waiting || mediation) return;
    const what = error.name === "InvalidStateError" ? "known" : "nothing";
    for (const mistake of form.querySelectorAll(".mistake")) mistake.hidden = mistake.dataset.why !== what;
    offer();
  }
}

async function offer() {
  const can = "autofill" in form.dataset && (await PublicKeyCredential.isConditionalMediationAvailable?.());
  if (can) ask({ mediation: "conditional" });
}

if (window.PublicKeyCredential) {
  form.hidden = false;
  // Where it is the first thing to do, nobody has to leave another field for it.
  form.querySelector(".primary")?.focus();
  for (const other of document.querySelectorAll("[data-without-passkeys]")) other.hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  offer();
}
