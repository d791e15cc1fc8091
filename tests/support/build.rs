//! What tests share that need the C libraries or compile C.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The top of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The libraries that C programs link.
pub struct Library {
    /// Holds `libnanostate.so` and the name that programs look for at run time, `libnanostate.so.0`.
    pub dir: PathBuf,
    /// The shared library.
    pub shared: PathBuf,
    /// The static library as it is installed: it exports nothing but `ns_*`.
    pub archive: PathBuf,
}

/// What a program that links [`Library::archive`] needs besides, as the installed package says it.
pub fn system_libraries() -> Vec<String> {
    let list = include_str!("../../cmake/system-libraries.txt");
    list.lines().filter(|line| !line.starts_with('#')).map(|name| format!("-l{name}")).collect()
}

/// The libraries, built in the profile of the test that asks.
///
/// `cargo test` itself need not build them, and does not put them where they would be found.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // Held until the libraries are copied.
        let _one_at_a_time = building();
        let (mut cargo, profile_dir) = cargo_library("build");
        run(&mut cargo);

        let dir = scratch("capi");
        let shared = dir.join("libnanostate.so");
        replace(&dir, "libnanostate.so", |new| {
            fs::copy(profile_dir.join("libnanostate.so"), new).unwrap();
        });
        replace(&dir, "libnanostate.so.0", |new| std::os::unix::fs::symlink("libnanostate.so", new).unwrap());
        let archive = dir.join("libnanostate.a");
        replace(&dir, "libnanostate.a", |new| {
            run(Command::new(root().join("scripts/static-library")).arg(profile_dir.join("libnanostate.a")).arg(new));
        });
        Library { dir, shared, archive }
    })
}

/// Held while cargo builds the library and while what it built is used: cargo's own lock ends with the build, and another
/// build replaces the files.
pub fn building() -> MutexGuard<'static, ()> {
    static BUILDING: Mutex<()> = Mutex::new(());
    BUILDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command of cargo's for the library, in the profile of the test that asks, and the directory of its outputs.
pub fn cargo_library(command: &str) -> (Command, PathBuf) {
    let (target, profile, profile_dir) = build_directories();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg(command).arg("--lib").arg("--quiet").arg("--profile").arg(profile);
    cargo.arg("--manifest-path").arg(root().join("Cargo.toml")).arg("--target-dir").arg(&target);
    // A cross target is a directory of its own.
    if profile_dir.parent() != Some(&*target) {
        cargo.arg("--target").arg(env!("NANOSTATE_TARGET"));
    }
    (cargo, profile_dir)
}

/// The target directory, the name of the profile, and the directory of its outputs, from where this test lies:
/// `TARGET[/TRIPLE]/PROFILE/deps/TEST`.
fn build_directories() -> (PathBuf, String, PathBuf) {
    let test = env::current_exe().unwrap();
    let profile_dir = test.ancestors().nth(2).unwrap().to_owned();
    let profile = match profile_dir.file_name().and_then(OsStr::to_str).unwrap() {
        "debug" => "dev".to_owned(),
        other => other.to_owned(),
    };
    let above = profile_dir.parent().unwrap();
    let cross = above.file_name() == Some(OsStr::new(env!("NANOSTATE_TARGET")));
    let target = if cross { above.parent().unwrap() } else { above };
    (target.to_owned(), profile, profile_dir)
}

/// A directory of this test binary's own below the target directory.
pub fn scratch(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let test_name = test.file_stem().unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test_name).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Makes a file under a name of its own and moves it into place: a program that runs keeps the old one, and tests that
/// make the same at once do not meet.
fn replace(dir: &Path, name: &str, make: impl FnOnce(&Path)) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let new = dir.join(format!("{name}.{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    make(&new);
    fs::rename(new, dir.join(name)).unwrap();
}

/// Whether a C program links the shared or the static library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// `libnanostate.so`, found at run time where [`library`] put it.
    Shared,
    /// `libnanostate.a`.
    Static,
}

/// The language that a source is compiled as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standard {
    /// C99.
    C99,
    /// C11.
    C11,
    /// C++17, whatever the file is called.
    Cpp17,
}

impl Standard {
    /// All of them.
    pub const ALL: [Standard; 3] = [Standard::C99, Standard::C11, Standard::Cpp17];

    /// What chooses it.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Standard::C99 => &["-std=c99", "-xc"],
            Standard::C11 => &["-std=c11", "-xc"],
            Standard::Cpp17 => &["-std=c++17", "-xc++"],
        }
    }
}

/// Compiles C sources, with every warning an error, and links them with nanostate. `flags` come behind the sources.
pub fn compile_c(name: &str, sources: &[PathBuf], standard: Standard, link: Link, flags: &[&str]) -> PathBuf {
    let library = library();
    let name = format!("{name}-{standard:?}-{link:?}").to_lowercase();
    let dir = scratch("bin");
    let mut compiler = compiler(standard);
    compiler.args(standard.arguments()).args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-O1"]);
    compiler.arg("-D_POSIX_C_SOURCE=200809L").arg("-I").arg(root().join("include"));
    compiler.args(sources).args(["-xnone"]);
    match link {
        Link::Shared => {
            compiler.arg("-L").arg(&library.dir).arg("-lnanostate");
            compiler.arg(format!("-Wl,-rpath,{}", library.dir.display()));
        }
        Link::Static => {
            compiler.arg(&library.archive).args(system_libraries());
        }
    }
    compiler.arg("-pthread").args(flags);
    replace(&dir, &name, |new| {
        run(compiler.arg("-o").arg(new));
    });
    dir.join(name)
}

/// What a program in C begins with that stands in a test: a check that ends it with a line on standard error.
const C_CHECK: &str = r#"
    #include <nanostate.h>
    #include <stdio.h>
    #include <unistd.h>

    #define CHECK(condition) ((condition) ? (void)0 : failed(__LINE__, #condition))
    void failed(int line, const char *what);
    void failed(int line, const char *what)
    {
        fprintf(stderr, "%d: %s: %s\n", line, what, ns_last_error());
        _exit(1);
    }
"#;

/// Compiles a program in C that stands in a test, as [`compile_c`]. It may use `CHECK`.
pub fn compile_c_text(name: &str, program: &str, standard: Standard, link: Link) -> PathBuf {
    let source = scratch("src").join(format!("{name}.c"));
    fs::write(&source, format!("{C_CHECK}#line 1\n{program}")).unwrap();
    compile_c(name, &[source], standard, link, &["-D_DEFAULT_SOURCE"])
}

/// The C or C++ compiler of this machine, as CC, CXX, CFLAGS and CXXFLAGS say.
pub fn compiler(standard: Standard) -> Command {
    let target = env!("NANOSTATE_TARGET");
    let mut build = cc::Build::new();
    build.cpp(standard == Standard::Cpp17).cargo_metadata(false).cargo_warnings(false).inherit_rustflags(false);
    build.target(target).host(target).opt_level(0).debug(false).out_dir(scratch("cc"));
    build.get_compiler().to_command()
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What a tool that must succeed prints.
pub fn output<'a>(tool: &str, arguments: impl IntoIterator<Item = &'a Path>, files: &[&Path]) -> String {
    String::from_utf8(run(Command::new(tool).args(arguments).args(files)).stdout).unwrap()
}

/// valgrind, for which a memory error or a leak of the program that follows is a failure.
pub fn valgrind() -> Command {
    let version = Command::new("valgrind").arg("--version").output();
    assert!(version.is_ok_and(|output| output.status.success()), "valgrind is missing: scripts/setup installs it");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--fair-sched=yes"]);
    command
        .args(["--show-leak-kinds=definite,indirect,possible", "--errors-for-leak-kinds=definite,indirect,possible"]);
    command.arg(format!("--suppressions={}", root().join("tests/c/valgrind.supp").display()));
    command
}
