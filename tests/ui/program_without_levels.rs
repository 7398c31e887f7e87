use betty_runtime::multilevel;

multilevel! {
    struct Program;
}

fn main() {}
