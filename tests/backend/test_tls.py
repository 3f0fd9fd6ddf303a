"""TLS contexts: each is made once, and verifies by what it was given."""

import ssl

import trustme

from gimel.backend.tls import tls_context


def test_a_context_is_made_once_for_each_authority_and_version() -> None:
    authority = trustme.CA().cert_pem.bytes().decode()
    assert tls_context() is tls_context()
    assert tls_context(authority) is not tls_context()
    strict = tls_context(None, ssl.TLSVersion.TLSv1_3)
    assert strict.minimum_version == ssl.TLSVersion.TLSv1_3
    assert tls_context().minimum_version < strict.minimum_version
    for context in (tls_context(), tls_context(authority), strict):
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED
    certificates = tls_context(authority).cert_store_stats()["x509_ca"]
    assert certificates == tls_context().cert_store_stats()["x509_ca"] + 1
