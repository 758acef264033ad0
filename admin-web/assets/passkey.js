// Passkeys: the browser's own words about them, put into the forms of the panel. Without this script, or where the browser
// knows no passkeys, the forms stay hidden and everything else works.
'use strict';

const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
  .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const decode = (text) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));

async function challenge(form) {
  const answer = await fetch(form.dataset.challenge, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
  const said = await answer.json();
  // It was wanted for the challenge alone.
  if (answer.ok && form.elements.password) form.elements.password.value = '';
  if (!answer.ok) throw new Error(`${said.detail ?? said.title} ${said.remedy ?? ''}`.trim());
  return said;
}

async function create(form) {
  const asked = await challenge(form);
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: decode(asked.challenge),
      rp: { id: asked.rp_id, name: asked.rp_name },
      user: { id: decode(asked.user), name: asked.login, displayName: asked.login },
      pubKeyCredParams: asked.algorithms.map((alg) => ({ type: 'public-key', alg })),
      excludeCredentials: asked.known.map((id) => ({ type: 'public-key', id: decode(id) })),
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
      attestation: 'none',
    },
  });
  form.elements.client_data.value = encode(made.response.clientDataJSON);
  form.elements.authenticator_data.value = encode(made.response.getAuthenticatorData());
  form.elements.public_key.value = encode(made.response.getPublicKey());
  form.elements.algorithm.value = made.response.getPublicKeyAlgorithm();
}

async function get(form) {
  const asked = await challenge(form);
  const used = await navigator.credentials.get({
    publicKey: {
      challenge: decode(asked.challenge),
      rpId: asked.rp_id,
      allowCredentials: asked.allow.map((id) => ({ type: 'public-key', id: decode(id) })),
      userVerification: asked.verify ? 'required' : 'preferred',
    },
  });
  form.elements.credential.value = encode(used.rawId);
  form.elements.client_data.value = encode(used.response.clientDataJSON);
  form.elements.authenticator_data.value = encode(used.response.authenticatorData);
  form.elements.signature.value = encode(used.response.signature);
}

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    form.hidden = false;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const said = form.querySelector('[data-said]');
      said.textContent = '';
      try {
        await (form.dataset.passkey === 'create' ? create(form) : get(form));
      } catch (error) {
        said.textContent = error.name === 'NotAllowedError'
          ? 'Nothing was done: it was given up, or took too long.' : `That did not work: ${error.message}`;
        return;
      }
      form.submit();
    });
  }
}
