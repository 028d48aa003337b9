"""Sends one signed request: HTTP Message Signatures (RFC 9421) by HMAC-SHA256, with Python's standard library alone.

python3 signed_request.py METHOD URL [IDEMPOTENCY_KEY BODY_FILE]

STRONGROOM_KEY_ID and STRONGROOM_SIGNING_SECRET name the key and its secret; STRONGROOM_CA is a file with the authority that
the server's certificate is from. Prints status and body. Where the package `cryptography` is installed, it also verifies
that the answer is the server's own to this very request, and says so.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import ssl
import sys
import time
import urllib.parse


def digest_of(body):
    return "sha-256=:%s:" % base64.b64encode(hashlib.sha256(body).digest()).decode()


def sign(method, url, fields, key_id, secret):
    """The two fields that sign a request; `fields` are its other ones, names in lower case. All of them are covered."""
    components = [("@method", method), ("@target-uri", url)] + sorted(fields.items())
    names = " ".join('"%s"' % name for name, _ in components)
    params = '(%s);created=%d;nonce="%s";alg="hmac-sha256";keyid="%s";tag="fapi-2-request"' % (
        names,
        int(time.time()),
        secrets.token_hex(16),
        key_id,
    )
    lines = ['"%s": %s' % component for component in components] + ['"@signature-params": ' + params]
    mac = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return {"signature-input": "sig=" + params, "signature": "sig=:%s:" % base64.b64encode(mac).decode()}


def is_signed_answer(method, url, sent, status, fields, body, keys):
    """Whether the server signed this answer to this request. None where nothing here can verify Ed25519."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return None
    params = fields.get("signature-input", "").removeprefix("sig=")
    covered = params[1 : params.find(")")].split(" ")
    needed = {'"@status"', '"@method";req', '"@target-uri";req', '"signature";req'}
    if body:
        needed.add('"content-digest"')
        if fields.get("content-digest") != digest_of(body):
            return False
    if not needed <= set(covered) or ';tag="fapi-2-response"' not in params:
        return False
    lines = []
    for component in covered:
        name, request = component.split('"')[1], component.endswith(";req")
        derived = {"@method": method, "@target-uri": url} if request else {"@status": str(status)}
        lines.append("%s: %s" % (component, derived.get(name) or (sent if request else fields)[name]))
    lines.append('"@signature-params": ' + params)
    key = next((key for key in keys if 'keyid="%s"' % key["kid"] in params), None)
    if key is None:
        return False
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    try:
        public.verify(base64.b64decode(fields["signature"].removeprefix("sig=:").removesuffix(":")), "\n".join(lines).encode())
        return True
    except InvalidSignature:
        return False


def main():
    method, url = sys.argv[1].upper(), sys.argv[2]
    body = open(sys.argv[4], "rb").read() if len(sys.argv) > 4 else b""
    fields = {"x-api-key-id": os.environ["STRONGROOM_KEY_ID"]}
    if len(sys.argv) > 3:
        fields["idempotency-key"] = sys.argv[3]
    if body:
        fields |= {"content-type": "application/json", "content-digest": digest_of(body)}
    signed = sign(method, url, fields, fields["x-api-key-id"], os.environ["STRONGROOM_SIGNING_SECRET"])
    sent = fields | signed
    address = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=os.environ.get("STRONGROOM_CA"))
    server = http.client.HTTPSConnection(address.hostname, address.port or 443, context=context)
    server.request(method, address.path + ("?" + address.query if address.query else ""), body or None, sent)
    answer = server.getresponse()
    told, text = {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    server.request("GET", "/.well-known/jwks.json")
    keys = json.load(server.getresponse())["keys"]
    verdict = is_signed_answer(method, url, sent, answer.status, told, text, keys)
    print(answer.status, {True: "verified", False: "not verified", None: "verification needs `cryptography`"}[verdict])
    print(text.decode())
    sys.exit(0 if answer.status < 400 and verdict is not False else 1)


if __name__ == "__main__":
    main()
