//! Every mistake of a stack, what makes it, and what is said then: a table.
//!
//! A fixture opens with a comment that says why it must fail. What stands around it is made in [`errors`](super::errors).

/// A mistake: the error's variant, what makes it, and the message.
pub struct Mistake {
    /// As the source calls it.
    pub error: &'static str,
    /// The subcommand and what follows it; the first is given the fixture where nothing follows.
    pub arguments: &'static [&'static str],
    /// `error_NAME.toml`, without the rest. None where it is not in a file.
    pub fixture: Option<&'static str>,
    /// What follows `dlcast: `; `HERE` is the folder, `FILE` the fixture in it, `...` whatever.
    pub message: &'static str,
}

/// A mistake that `dlcast layers scan` tells.
const fn scan(error: &'static str, fixture: &'static str, message: &'static str) -> Mistake {
    Mistake { error, arguments: &["scan"], fixture: Some(fixture), message }
}

/// One that only `dlcast layers link` tells.
const fn link(error: &'static str, fixture: &'static str, message: &'static str) -> Mistake {
    Mistake { error, arguments: &["link"], fixture: Some(fixture), message }
}

/// One that no file makes.
const fn called(error: &'static str, arguments: &'static [&'static str], message: &'static str) -> Mistake {
    Mistake { error, arguments, fixture: None, message }
}

/// The enums whose variants are the mistakes, and their sources.
pub const ERRORS: &[(&str, &str)] = &[
    ("StackError", "src/layers/stack/error.rs"),
    ("ScanError", "src/layers/scan.rs"),
    ("LinkError", "src/layers/link/error.rs"),
    ("WrapperError", "src/layers/wrapper/error.rs"),
];

pub const MISTAKES: &[Mistake] = &[
    scan("StackError::Syntax", "bad_toml", "FILE: line 4: invalid basic string, expected `\"`"),
    scan("StackError::Syntax", "not_utf8", "FILE: line 4: not UTF-8"),
    scan(
        "StackError::Syntax",
        "unknown_key",
        "FILE: line 6: unknown field `use`, expected one of `name`, `path`, `uses`, `dynlib_exclude`",
    ),
    scan("StackError::Syntax", "unknown_table", "FILE: line 7: unknown field `options`, expected `layer`"),
    scan("StackError::Syntax", "missing_path", "FILE: line 3: missing field `path`"),
    scan("StackError::Syntax", "wrong_type", "FILE: line 6: `uses`: invalid type: string \"fw\", expected a sequence"),
    scan(
        "StackError::Syntax",
        "wrong_item",
        "FILE: line 8: `dynlib_exclude`: invalid type: integer `1`, expected a string",
    ),
    scan(
        "StackError::Format",
        "other_format",
        "FILE: must have either [[layer]], as a stack.toml, or [[runtimes]], [[frameworks]] and [[applications]], as a venvstacks.toml",
    ),
    scan(
        "StackError::Format",
        "two_formats",
        "FILE: must have either [[layer]], as a stack.toml, or [[runtimes]], [[frameworks]] and [[applications]], as a venvstacks.toml",
    ),
    scan("StackError::Number", "no_layers", "FILE: describes 0 layers; it must be 1 to 1000"),
    scan(
        "StackError::Name",
        "bad_name",
        "FILE: \"app\\nfw\" is no name for a layer: it must not be empty, begin or end with a space, or have control characters",
    ),
    scan("StackError::SameName", "same_name", "FILE: two layers are called `fw`; rename one"),
    scan(
        "StackError::SameFolder",
        "same_folder",
        "FILE: the layers `fw` and `app` are the same folder, HERE/link_to_fw; leave out one",
    ),
    scan(
        "StackError::Unknown",
        "unknown_layer",
        "FILE: layer `app` uses `fw`, which is no layer; it can use `runtime`",
    ),
    scan(
        "StackError::Unknown",
        "unknown_and_alone",
        "FILE: layer `app` uses `zz`, which is no layer; describe that one in the file, too, or leave it out",
    ),
    scan("StackError::Twice", "listed_twice", "FILE: layer `app` lists `fw` twice; leave out one"),
    scan(
        "StackError::Cycle",
        "cycle",
        "FILE: layers use each other in a circle: fw -> fw2 -> fw; take one of them out of a list",
    ),
    scan(
        "StackError::Cycle",
        "uses_itself",
        "FILE: layers use each other in a circle: app -> app; take one of them out of a list",
    ),
    scan(
        "StackError::Order",
        "c3_conflict",
        "FILE: what layer `app` uses has no common order: `d` has `b` before `a`, `c` has `a` before `b`; change one of these lists",
    ),
    scan(
        "StackError::Order",
        "below_listed_first",
        "FILE: what layer `app` uses has no common order: `fw` comes before `runtime`, which it uses, `app` has `runtime` before `fw`; change one of these lists",
    ),
    scan(
        "StackError::Glob",
        "bad_glob",
        "FILE: layer `app`: dynlib_exclude has \"lib[xyz.so\", which is no glob: invalid range pattern",
    ),
    scan(
        "StackError::Glob",
        "absolute_glob",
        "FILE: layer `app`: dynlib_exclude has \"/opt/app/lib/libz.so\", which is no glob: it begins with a slash, and globs are matched at the end of a path",
    ),
    scan(
        "StackError::Unusable",
        "colon",
        "layer `app`: HERE/with:colon has `:` in its path, of which ld.so makes something else in LD_LIBRARY_PATH; move or rename the folder",
    ),
    scan(
        "StackError::Unusable",
        "semicolon",
        "layer `app`: HERE/with;semicolon has `;` in its path, of which ld.so makes something else in LD_LIBRARY_PATH; move or rename the folder",
    ),
    scan(
        "StackError::Unusable",
        "origin",
        "layer `app`: HERE/with$ORIGIN has `$ORIGIN` in its path, of which ld.so makes something else in LD_LIBRARY_PATH; move or rename the folder",
    ),
    scan("StackError::Read", "nul", "HERE/app\\u{0}/inner: file name contained an unexpected NUL byte"),
    scan(
        "StackError::NoFolder",
        "missing_folder",
        "layer `app`: HERE/ap: no such folder; its `path` is taken relative to the file that says so",
    ),
    scan(
        "StackError::NotAFolder",
        "folder_is_file",
        "layer `app`: HERE/file is a file; its `path` must name the folder of an environment",
    ),
    scan(
        "StackError::NoPython",
        "no_python",
        "layer `app`: HERE/empty is no Python environment: it has no bin/python; make one with `python3 -m venv`",
    ),
    scan(
        "StackError::NoPython",
        "no_site_packages",
        "layer `app`: HERE/programs is no Python environment: it has no lib/python3.*/site-packages; make one with `python3 -m venv`",
    ),
    link("StackError::Read", "unreadable_lib", "HERE/unreadable/lib/python3.11/site-packages: may not be read"),
    link("StackError::Read", "unreadable_bin", "HERE/unreadable_bin/bin/python: may not be read"),
    scan(
        "StackError::Windows",
        "windows",
        "layer `app`: HERE/windows is an environment for Windows, which finds libraries by os.add_dll_directory and has no use for links",
    ),
    scan(
        "StackError::NotBuilt",
        "venvstacks_not_built",
        "layer `framework-new`: HERE/_build/framework-new: not built; run `venvstacks build`, or say with --build-dir where it has built",
    ),
    scan(
        "StackError::Unknown",
        "venvstacks_unknown_runtime",
        "FILE: layer `framework-a` uses `cpython-3.12`, which is no layer; it can use `cpython-3.11`",
    ),
    scan(
        "StackError::Unknown",
        "venvstacks_unknown_framework",
        "FILE: layer `app-x` uses `c`, which is no layer; it can use `a`",
    ),
    scan(
        "StackError::Later",
        "venvstacks_forward_reference",
        "FILE: layer `framework-a` uses `b`, which comes after it; venvstacks wants it before",
    ),
    scan("StackError::SameName", "venvstacks_same_name", "FILE: two layers are called `framework-a`; rename one"),
    scan(
        "StackError::Order",
        "venvstacks_c3_conflict",
        "FILE: what layer `app-x` uses has no common order: `framework-d` has `framework-b` before `framework-a`, `framework-c` has `framework-a` before `framework-b`; change one of these lists",
    ),
    scan(
        "StackError::Base",
        "venvstacks_no_base",
        "FILE: layer `framework-a` must have either `runtime` or `frameworks`",
    ),
    scan("StackError::Base", "venvstacks_two_bases", "FILE: layer `app-x` must have either `runtime` or `frameworks`"),
    scan(
        "StackError::Runtimes",
        "venvstacks_runtimes",
        "FILE: layer `app-x` uses `framework-a` on `cpython-3.11` and `framework-b` on `cpython-3.12`; a layer has one runtime",
    ),
    scan(
        "StackError::Versions",
        "venvstacks_two_versions",
        "layer `framework-versioned`: HERE/_build has more than one version of it: `framework-versioned@2`, `framework-versioned@3`; remove all but one",
    ),
    scan(
        "StackError::Metadata",
        "venvstacks_no_metadata",
        "layer `framework-unfinished`: HERE/_build/framework-unfinished/share/venv/metadata/venvstacks_layer.json: missing; build it again with `venvstacks build`",
    ),
    scan(
        "StackError::Metadata",
        "venvstacks_bad_metadata",
        "layer `framework-cut`: HERE/_build/framework-cut/share/venv/metadata/venvstacks_layer.json: EOF while parsing a string at line 1 column 18; build it again with `venvstacks build`",
    ),
    scan(
        "StackError::Metadata",
        "venvstacks_metadata_outside",
        "layer `framework-outside`: HERE/_build/framework-outside/share/venv/metadata/venvstacks_layer.json: names ../cpython-3.11/bin/python, which is not in the layer; build it again with `venvstacks build`",
    ),
    scan(
        "StackError::Windows",
        "venvstacks_windows",
        "layer `framework-windows`: HERE/_build/framework-windows is an environment for Windows, which finds libraries by os.add_dll_directory and has no use for links",
    ),
    scan(
        "StackError::Stale",
        "venvstacks_stale",
        "layer `app-x`: was built over `framework-a`, `cpython-3.11`, and FILE has it over `framework-a`, `framework-b`, `cpython-3.11`; build it again with `venvstacks build`",
    ),
    link(
        "LinkError::Ambiguous",
        "ambiguous",
        "FILE: 1 name within a layer means different libraries\nlayer `app`:\n  libx.so.1\n    lib/one/libx.so.1\n    lib/two/libx.so.1\nexclude all but one of each in the layer's dynlib_exclude: dynlib_exclude = [\"two/libx.so.1\"]",
    ),
    link(
        "LinkError::Wrapper",
        "foreign_python",
        "layer `app`: HERE/foreign/bin/python: a script that neither dlcast nor venvstacks has made; move it away, and link the interpreter in its place",
    ),
    link(
        "WrapperError::Foreign",
        "foreign_python3",
        "layer `app`: HERE/foreign3/bin/python3: a script that neither dlcast nor venvstacks has made; move it away, and link the interpreter in its place",
    ),
    link(
        "WrapperError::Circle",
        "python_circle",
        "layer `app`: HERE/circle/bin/python: leads back to itself; make the environment anew",
    ),
    link(
        "WrapperError::NoInterpreter",
        "python_dangling",
        "layer `app`: HERE/dangling/bin/python: leads to no interpreter; make the environment anew",
    ),
    link("WrapperError::Read", "python_folder", "layer `app`: HERE/python_is_folder/bin/python: not a regular file"),
    link("WrapperError::Read", "python_pipe", "layer `app`: HERE/python_is_pipe/bin/python: not a regular file"),
    link("WrapperError::Read", "python3_pipe", "layer `app`: HERE/python3_is_pipe/bin/python3: not a regular file"),
    link("WrapperError::Read", "python_pipe_behind", "layer `app`: HERE/pipe_behind/bin/python_: not a regular file"),
    link(
        "WrapperError::Elsewhere",
        "bin_elsewhere",
        "layer `app`: HERE/bin_elsewhere/bin: leads to HERE/bin_of_bin_elsewhere, and the wrapper finds its layer by its folder; make HERE/bin_elsewhere/bin a folder of the layer",
    ),
    link(
        "WrapperError::Path",
        "link_to_colon",
        "layer `app`: HERE/behind:a colon: a path with `:` cannot stand in LD_LIBRARY_PATH; rename the folder",
    ),
    link(
        "LinkError::NotALink",
        "not_a_link",
        "layer `app`: HERE/not_a_link/share/venv/dynlib/libx.so: not a link, and there may be only links in this folder; move it away",
    ),
    link(
        "LinkError::Elsewhere",
        "share_elsewhere",
        "layer `app`: HERE/share_elsewhere/share: leads to HERE/share_of_share_elsewhere, where relative links would lead elsewhere; make it a folder of the layer",
    ),
    link("LinkError::Read", "share_circle", "layer `app`: HERE/share_circle/share: too many levels of symbolic links"),
    link("LinkError::Busy", "busy", "layer `app`: HERE/busy: another `dlcast layers link` is at work; wait for it"),
    link(
        "LinkError::Write",
        "read_only",
        "layer `app`: HERE/read_only: cannot be written: permission denied; run as its owner, or link a copy of the layer",
    ),
    called("StackError::Read", &["scan", "nowhere.toml"], "HERE/nowhere.toml: no such file or folder"),
    called("StackError::NotAFile", &["scan", "/dev/null"], "/dev/null: neither a file nor a folder"),
    called(
        "StackError::TooLarge",
        &["scan", "large.toml"],
        "HERE/large.toml: larger than 1048576 bytes, which no description of a stack is",
    ),
    called(
        "StackError::NoFile",
        &["scan", "empty"],
        "HERE/empty: holds neither a stack.toml nor a venvstacks.toml; name the file",
    ),
    called("StackError::TwoFiles", &["scan", "two"], "HERE/two: holds a stack.toml and a venvstacks.toml; say which"),
    called(
        "StackError::BuildDir",
        &["scan", "deep.toml", "--build-dir", "_build"],
        "HERE/deep.toml: a stack.toml says where its layers are: leave out --build-dir, which is for a venvstacks.toml",
    ),
    called("ScanError::Folder", &["scan", "deep.toml"], "HERE/deep/lib/...: cannot be listed: file name too long"),
];
