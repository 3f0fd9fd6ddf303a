"""TLS contexts: each is made once, and verifies by what it was given."""

import ssl

import trustme

from gimel.backend.tls import tls_context


def test_a_context_is_made_once_for_each_authority_and_version() -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    usual, trusting = tls_context(None, None), tls_context(authority, None)
    strict = tls_context(None, ssl.TLSVersion.TLSv1_3)
    assert usual is tls_context(None, None)
    assert strict.minimum_version == ssl.TLSVersion.TLSv1_3
    assert usual.minimum_version < strict.minimum_version
    for context in (usual, trusting, strict):
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
    certificates = trusting.cert_store_stats()["x509_ca"]
    assert certificates == usual.cert_store_stats()["x509_ca"] + 1
