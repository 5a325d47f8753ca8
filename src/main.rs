//! The `dlcast` command. It loads no MPI: environments are built where there is none.
fn main() {}
