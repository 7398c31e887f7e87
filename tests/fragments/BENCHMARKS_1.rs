//- the fragment
fn main() {}
