/**
 * A certificate for `hooks.example.test`, signed by itself, good until 2126, and its key; for tests alone. Made by
 * `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=hooks.example.test
 * -addext subjectAltName=DNS:hooks.example.test`.
 */
export const HOOKS_CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBrzCCAVagAwIBAgIUf+ignWAEPsgvYBJxrVMQSq3bTwwwCgYIKoZIzj0EAwIw
HTEbMBkGA1UEAwwSaG9va3MuZXhhbXBsZS50ZXN0MCAXDTI2MTEyNzIzMjEwNloY
DzIxMjYxMTAzMjMyMTA2WjAdMRswGQYDVQQDDBJob29rcy5leGFtcGxlLnRlc3Qw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATOECgwIu+mdCffa9GCgXTca29Gwt/E
uNJj+fkWPUswf8cvj8BCZ89M0ATqQHGW8FdmXdMKga/yPlaTIayWVDh2o3IwcDAd
BgNVHQ4EFgQU4XAIbwPJDoICzX/92bdNU349FGUwHwYDVR0jBBgwFoAU4XAIbwPJ
DoICzX/92bdNU349FGUwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHREEFjAUghJob29r
cy5leGFtcGxlLnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgfHxfUwXz6GacK/pe5l+1
COvZkKTSDPV3oeXgbb9fOJ0CIDbTHDurKYhFSgNRKaD5gWkt6VEj6W+Yl7wNMTEb
Rvzx
-----END CERTIFICATE-----
`
export const HOOKS_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFuyKWiyqZLAxysYF
tg6aBgnvChtFN5v13kP0gU4jp+uhRANCAATOECgwIu+mdCffa9GCgXTca29Gwt/E
uNJj+fkWPUswf8cvj8BCZ89M0ATqQHGW8FdmXdMKga/yPlaTIayWVDh2
-----END PRIVATE KEY-----
`
