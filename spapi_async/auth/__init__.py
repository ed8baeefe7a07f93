"""Every call gets its token here; a user never sees one.

Read in this order: `credentials`, `tokens` (the cache: one fetch at a time), `lwa` (Login with Amazon), `rdt`
(restricted data tokens), `chain` (which token a call gets, and the stages that give it). Apart, for those who still
sign their calls: `sigv4` (the signature), `aws` (the keys), `sts` (those of a role).
"""

from .aws import AwsCredentials, AwsRole
from .chain import Authorising
from .credentials import Credentials, digest
from .lwa import LWA_ENDPOINT, LwaClient
from .tokens import Token, TokenCache

__all__ = [
    "LWA_ENDPOINT",
    "Authorising",
    "AwsCredentials",
    "AwsRole",
    "Credentials",
    "LwaClient",
    "Token",
    "TokenCache",
    "digest",
]
