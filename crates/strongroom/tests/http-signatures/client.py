"""Signs requests and verifies answers with PyPI's `http-message-signatures`: one JSON document in, one out."""

import base64
import datetime
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    HTTPSignatureKeyResolver,
    algorithms,
)


class Message:
    def __init__(self, parts, request=None):
        self.headers = dict(parts["headers"])
        if "status" in parts:
            self.status_code, self.request = parts["status"], request
        else:
            self.method, self.url = parts["method"], parts["url"]


class OneKey(HTTPSignatureKeyResolver):
    def __init__(self, name, key):
        self.name, self.key = name, key

    def resolve_private_key(self, key_id):
        return self.key

    def resolve_public_key(self, key_id):
        return self.key if key_id == self.name else None


def main():
    ask = json.load(sys.stdin)
    request = Message(ask["request"])
    if ask["do"] == "sign":
        key, algorithm = base64.b64decode(ask["key"]), algorithms.HMAC_SHA256
        if ask["alg"] == "ed25519":
            key, algorithm = Ed25519PrivateKey.from_private_bytes(key), algorithms.ED25519
        signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=OneKey(ask["keyid"], key))
        signer.sign(
            request,
            key_id=ask["keyid"],
            covered_component_ids=ask["fields"],
            nonce=ask["nonce"],
            tag=ask["tag"],
            label="pypi",
            body=base64.b64decode(ask["body"]),
        )
        print(json.dumps({name.lower(): value for name, value in request.headers.items()}))
        return
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(ask["key"] + "="))
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=OneKey(ask["keyid"], key))
    try:
        found = verifier.verify(
            Message(ask["response"], request),
            max_age=datetime.timedelta(seconds=60),
            expect_tag="fapi-2-response",
            body=base64.b64decode(ask["body"]),
        )
        print(json.dumps({"verified": len(found) == 1}))
    except InvalidSignature:
        print(json.dumps({"verified": False}))


main()
