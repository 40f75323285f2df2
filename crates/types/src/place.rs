/// The schemes of NBD URIs. Those that are not supported are known, so that they are refused with a reason.
const NBD_SCHEMES: [&str; 4] = ["nbd://", "nbd+unix://", "nbds://", "nbds+unix://"];

/// Is this place of a disk an export of an NBD server, and not a path of this host?
pub fn is_nbd_uri(place: &str) -> bool {
    NBD_SCHEMES.iter().any(|scheme| place.starts_with(scheme))
}

/// The URI of the default export at a unix socket.
pub fn nbd_uri(socket: &str) -> String {
    let encoded = socket.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    format!("nbd+unix:///?socket={}", encoded.collect::<String>())
}

/// The URI of an export at `HOST:PORT`, where TLS is spoken. The name has letters, digits and `-` alone.
pub fn nbds_uri(server: &str, export: &str) -> String {
    format!("nbds://{server}/{export}")
}

#[test]
fn a_socket_s_uri_has_nothing_that_a_shell_or_a_query_would_split() {
    let uri = nbd_uri("/run/my host&co/0.sock");
    assert_eq!(uri, "nbd+unix:///?socket=/run/my%20host%26co/0.sock");
}
