use crate::Error;
use crate::virsh::answers;

const NAMES: [&str; 2] = ["domstate", "backup-dumpxml"];

#[test]
fn each_command_has_what_it_printed_or_why_it_was_refused() {
    let said = "ERROR: ld.so: a library is ignored.\nerror: \u{1e}\n\
                error: failed to get it\nerror: none is there\n\nerror: \u{1e}\n";
    let mut told = answers(&NAMES, "running (booted)\n\n\u{1e}\u{1e}", said).unwrap();
    assert_eq!(told.take().unwrap(), "running (booted)");
    let refused = told.take().unwrap_err();
    let Error::Refused { command, message } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(command, "backup-dumpxml");
    assert_eq!(message, "failed to get it; none is there");
    assert!(told.take().is_err(), "nothing else was asked");
}

#[test]
fn a_client_that_ends_early_has_told_nothing() {
    let said = "error: failed to connect to the hypervisor\n";
    assert!(answers(&NAMES, "", said).is_none());
    assert!(answers(&NAMES, "running\n\u{1e}", "error: \u{1e}\n").is_none());
}
