use betty_runtime::Batch;

#[derive(Clone, Batch)]
struct Borrowed<'a> {
    name: &'a str,
}

fn main() {}
