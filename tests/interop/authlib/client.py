"""Gets, revokes and uses tokens with Authlib's own client. TEST ONLY: plain HTTP, for 127.0.0.1.

Usage: python client.py token ISSUER CLIENT SECRET "SCOPE SCOPE"     prints the access token
       python client.py revoke ISSUER CLIENT SECRET                  reads the token from stdin
       python client.py call URL                                     reads the token from stdin; prints JSON: the status,
                                                                     and the challenges as `requests` and Werkzeug read
                                                                     them
"""

import json
import os
import sys

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.integrations.requests_client import OAuth2Session
from werkzeug.datastructures import WWWAuthenticate


def metadata(issuer):
    answer = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30)
    answer.raise_for_status()
    return answer.json()


def token(issuer, client, secret, scope):
    session = OAuth2Session(client, secret, scope=scope)
    answer = session.fetch_token(metadata(issuer)["token_endpoint"], grant_type="client_credentials")
    print(answer["access_token"])


def revoke(issuer, client, secret):
    session = OAuth2Session(client, secret)
    answer = session.revoke_token(metadata(issuer)["revocation_endpoint"], token=sys.stdin.read().strip())
    answer.raise_for_status()


def call(url):
    access_token = sys.stdin.read().strip()
    if access_token:
        session = OAuth2Session(token={"access_token": access_token, "token_type": "Bearer"})
    else:
        session = requests.Session()
    session.trust_env = False
    answer = session.get(url, timeout=30)
    challenge = WWWAuthenticate.from_header(answer.headers.get("WWW-Authenticate"))
    print(
        json.dumps(
            {
                "status": answer.status_code,
                "scheme": challenge.type if challenge else None,
                "parameters": dict(challenge.parameters) if challenge else {},
                "body": answer.text,
            }
        )
    )


COMMANDS = {"token": token, "revoke": revoke, "call": call}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
