//! The fenced blocks of a page, and the commands in them.

/// What stands between two fences.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Page and line, for whoever has to mend it.
    pub(crate) place: String,
    /// The word behind the opening fence.
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// Formulas and layouts of the formats stand without fences.
const FORMATS: &str = "formats/";

/// All blocks in their order. Elsewhere code that is only indented is refused: nothing says what it is.
pub(crate) fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut indent = None;
    for (number, line) in (1..).zip(text.lines()) {
        let bare = line.trim_start();
        let width = line.len() - bare.len();
        match (indent, bare.strip_prefix("```")) {
            (None, Some(kind)) => {
                indent = Some(width);
                found.push(Block {
                    place: format!("{page}:{number}"),
                    kind: kind.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => indent = None,
            (Some(width), None) => {
                let block = found.last_mut().unwrap();
                block.text += line.get(width..).unwrap_or_default();
                block.text.push('\n');
            }
            (None, None) => assert!(
                width < 4 || bare.is_empty() || page.starts_with(FORMATS),
                "{page}:{number}: code needs a fence: {line}"
            ),
        }
    }
    assert_eq!(indent, None, "{page}: a block has no end");
    found
}

/// One command of a block, and what the remark behind it promises.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) text: String,
    /// `# refused: CODE`
    pub(crate) refusal: Option<String>,
}

/// The commands of a shell block: lines, joined where one goes on behind a backslash or inside quotes.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        open += line;
        open.push('\n');
        let (code, remark) = split_remark(&open);
        let Some(code) = code else { continue };
        if !code.trim().is_empty() {
            let refusal = remark.strip_prefix("refused: ");
            commands.push(Command {
                text: code.trim().to_owned(),
                refusal: refusal.map(|code| code.trim().to_owned()),
            });
        }
        open.clear();
    }
    assert_eq!(open, "", "a command has no end");
    commands
}

/// The code, or none while it is not at its end; and the remark behind it.
fn split_remark(text: &str) -> (Option<&str>, &str) {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in text.char_indices() {
        match quote {
            None if c == '#' && before.is_whitespace() => {
                return (Some(&text[..at]), text[at + 1..].trim());
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    let goes_on = quote.is_some() || text.ends_with("\\\n");
    ((!goes_on).then_some(text), "")
}

#[test]
fn commands_go_on_over_lines_and_remarks_promise_refusals() {
    let text = "a 1 \\\n  2  # it's why\n# alone\n\nb 'x\n# y'\nc V  # refused: 6110\n";
    let refused = |text: &str, code: Option<&str>| Command {
        text: text.to_owned(),
        refusal: code.map(str::to_owned),
    };
    let expected = [
        refused("a 1 \\\n  2", None),
        refused("b 'x\n# y'", None),
        refused("c V", Some("6110")),
    ];
    assert_eq!(commands(text), expected);
}
