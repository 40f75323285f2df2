//! A shell in which the commands of a page follow each other, as in a reader's terminal.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::server::BINARY;

/// No command of a page takes longer.
const DEADLINE: Duration = Duration::from_mins(2);
const END: &str = "=== end of a command";

/// Answers of the program are read by the test, so they come as JSON whatever the page says. What a page leaves running
/// ends with the shell, and that with the test.
const PRELUDE: &str = r#"
trap 'kill 0' EXIT
strongroom() {
  case " $* " in
    *" -o "*) command strongroom "$@" ;;
    *) command strongroom "$@" -o json ;;
  esac
}
"#;

#[derive(Debug)]
pub(crate) struct Session {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    folder: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    /// The file that the next command signs in with.
    pub(crate) credentials: PathBuf,
}

impl Session {
    /// A shell in this folder; `credentials` until a page exports others.
    pub(crate) fn new(folder: &Path, credentials: &Path) -> Self {
        let programs = Path::new(BINARY).parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("bash")
            .current_dir(folder)
            .env("PATH", format!("{programs}:{path}"))
            .env("STRONGROOM_CREDENTIALS", credentials)
            // What a page serves must not meet what others serve.
            .env("STRONGROOM__LISTEN", "127.0.0.1:0")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = mpsc::sync_channel(64);
        let output = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || {
            // Ends with the shell, or when nobody listens any more.
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let mut input = shell.stdin.take().unwrap();
        input.write_all(PRELUDE.as_bytes()).unwrap();
        let folder = folder.to_owned();
        Self {
            shell,
            input,
            lines,
            folder,
        }
    }

    /// Runs a command to its end; one that ends in `&` until it says that it is ready.
    pub(crate) fn run(&mut self, command: &str) -> Ran {
        let stays = command.ends_with('&');
        let name = if stays { "serve.log" } else { "stderr" };
        let err = self.folder.join(name);
        let script = format!(
            "{{\n{command}\n}} </dev/null 2>'{}'\nprintf '\\n{END} %s %s\\n' $? \"$STRONGROOM_CREDENTIALS\"\n",
            err.display()
        );
        self.input.write_all(script.as_bytes()).unwrap();
        let (mut out, mut end, mut ready) = (String::new(), None, !stays);
        while end.is_none() || !ready {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("`{command}` does not end"));
            let signs = ["ready http://", "nbd+unix://", "\"attachment_id\":"];
            ready |= signs.iter().any(|sign| line.contains(sign));
            match line.strip_prefix(END) {
                Some(rest) => end = Some(rest.trim().to_owned()),
                None => out = out + &line + "\n",
            }
        }
        let end = end.unwrap();
        let (status, credentials) = end.split_once(' ').unwrap();
        Ran {
            status: status.parse().unwrap(),
            out,
            err: std::fs::read_to_string(err).unwrap(),
            credentials: self.folder.join(credentials),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The shell leads its group, so this ends what it left running and nothing else.
        let group = Pid::from_raw(i32::try_from(self.shell.id()).unwrap());
        let _gone = killpg(group, Signal::SIGKILL);
        self.shell.wait().unwrap();
    }
}
