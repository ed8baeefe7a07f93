"""Every call gets its token here; a user never sees one.

Read in this order: `credentials`, `tokens` (the cache: one fetch at a time, renewals ahead of expiry), `tasks` (whose
the background tasks are), `stores` (tokens beyond one client), `lwa` (Login with Amazon), `rdt` (restricted data
tokens), `chain` (which token a call gets, and the stages that give it). Apart, for those who still sign their calls:
`sigv4` (the signature), `aws` (the keys), `sts` (those of a role).
"""

from .aws import AwsCredentials, AwsRole
from .chain import TOKEN_HEADER, Authorising
from .credentials import ClientSecret, Credentials, digest
from .lwa import LWA_ENDPOINT, LWA_POLICY, LwaClient
from .rdt import read_rdt
from .stores import FileStore, MemoryStore, TokenStore
from .tokens import Token, TokenCache

__all__ = [
    "LWA_ENDPOINT",
    "LWA_POLICY",
    "TOKEN_HEADER",
    "Authorising",
    "AwsCredentials",
    "AwsRole",
    "ClientSecret",
    "Credentials",
    "FileStore",
    "LwaClient",
    "MemoryStore",
    "Token",
    "TokenCache",
    "TokenStore",
    "digest",
    "read_rdt",
]
