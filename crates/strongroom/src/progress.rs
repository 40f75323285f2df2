//! A progress bar on a terminal; nothing where nobody looks.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use strongroom_worker::transfer::Progress;
use tokio::task::JoinHandle;

use crate::output::Format;

const REDRAW: Duration = Duration::from_millis(200);

/// Ends with [`Shown::end`].
#[derive(Debug)]
pub(crate) struct Shown {
    task: Option<JoinHandle<()>>,
    bar: ProgressBar,
}

pub(crate) fn show(progress: &Arc<Progress>, format: Format) -> Shown {
    if format == Format::Json || !std::io::stderr().is_terminal() {
        return Shown {
            task: None,
            bar: ProgressBar::hidden(),
        };
    }
    let bar = ProgressBar::new(progress.total_bytes());
    let style =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
            .expect("the template is a constant");
    bar.set_style(style);
    let (shown, progress) = (bar.clone(), Arc::clone(progress));
    let task = tokio::spawn(async move {
        let mut tick = tokio::time::interval(REDRAW);
        loop {
            tick.tick().await;
            shown.set_position(progress.done_bytes());
        }
    });
    Shown {
        task: Some(task),
        bar,
    }
}

impl Shown {
    pub(crate) async fn end(self) {
        if let Some(task) = self.task {
            task.abort();
            drop(task.await);
        }
        self.bar.finish_and_clear();
    }
}
