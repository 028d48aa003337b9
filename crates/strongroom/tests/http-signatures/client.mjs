// Signs requests and verifies answers with npm's `http-message-signatures`, for the tests: one JSON document in, one out.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { createSigner, createVerifier, httpbis } from 'http-message-signatures';

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const read = async () => {
  let text = '';
  for await (const part of process.stdin) text += part;
  return JSON.parse(text);
};
const ask = await read();
if (ask.do === 'sign') {
  const key =
    ask.alg === 'ed25519'
      ? createPrivateKey({ key: Buffer.concat([PKCS8, Buffer.from(ask.key, 'base64')]), format: 'der', type: 'pkcs8' })
      : Buffer.from(ask.key, 'base64');
  const signed = await httpbis.signMessage(
    {
      key: createSigner(key, ask.alg, ask.keyid),
      name: 'npm',
      fields: ask.fields,
      params: ['created', 'keyid', 'alg', 'nonce', 'tag'],
      paramValues: { nonce: ask.nonce, tag: ask.tag },
    },
    ask.request,
  );
  const field = (name) => Object.entries(signed.headers).find(([other]) => other.toLowerCase() === name)[1];
  console.log(JSON.stringify({ signature: field('signature'), 'signature-input': field('signature-input') }));
} else {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: ask.key }, format: 'jwk' });
  const verifier = createVerifier(key, 'ed25519');
  let verified = false;
  try {
    verified = await httpbis.verifyMessage(
      {
        keyLookup: async ({ keyid }) => (keyid === ask.keyid ? { id: keyid, algs: ['ed25519'], verify: verifier } : null),
        requiredFields: ['@status'],
        tolerance: 5,
        maxAge: 60,
        all: true,
      },
      ask.response,
      ask.request,
    );
  } catch (error) {
    verified = false;
  }
  console.log(JSON.stringify({ verified: verified === true }));
}
