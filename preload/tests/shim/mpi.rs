//! MPI comes up and goes down under the shim.

use crate::stage::Stage;

#[test]
fn mpi_init_is_called_once_with_all_threads_and_starts_the_engine() {
    let stage = Stage::new();
    stage.driver(&[]);
    let (output, log) = stage.run_preloaded(&["./driver", "init", "inits", "fini"]);
    assert_eq!(output.stdout, "init: 0\ninits: 1, level 3\nfini: 0\n");
    assert_eq!(log, ["start", "stop"]);
}
