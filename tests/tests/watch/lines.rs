//! Lines for people.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use betty_runtime::Event;
use betty_runtime::Warning;
use betty_runtime::watch::Console;

use crate::problem::engine;

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_every_few_iterations_is_plain_text() {
    let paper = Paper::default();
    let mut engine = engine().attach(Console::to(paper.clone(), 2)).watch(|event, program| {
        if let Event::Iteration { iteration: 5 } = event {
            let (rule, level, fact, advice) = ("mine".into(), None, "it is five".into(), "count again".into());
            program.warn(Warning { rule, level, fact, advice });
        }
    });
    engine.run(5).unwrap();
    let text = String::from_utf8(paper.0.take()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("iteration 2/5  y ") && lines[0].contains("  x "), "{text}");
    assert!(
        lines[0].contains(" (worst, by far 0.") && lines[0].contains("/s, ") && lines[0].ends_with(" left"),
        "{text}"
    );
    assert!(lines[1].starts_with("validation after iteration 3: ") && lines[1].contains(" (best)  last "), "{text}");
    assert!(lines[2].starts_with("iteration 4/5"), "{text}");
    assert_eq!(lines[3], "warning: it is five; count again");
    assert!(lines[4].starts_with("ended at iteration 5 after "), "{text}");
    assert!(text.is_ascii() && !text.contains('\x1b'), "{text}");
}

#[test]
fn nobody_reading_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    engine().attach(Console::to(Gone, 1)).run(3).unwrap();
}
