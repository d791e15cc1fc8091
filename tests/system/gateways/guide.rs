//! The programs of `docs/gateways.md`.

use super::*;

/// A program of the guide.
#[derive(Clone, Debug)]
enum Program {
    C(PathBuf),
    Python(PathBuf),
}

impl Program {
    fn command(&self, url: &str) -> Command {
        let mut command = match self {
            Program::C(program) => Command::new(program),
            Program::Python(script) => {
                let mut command = Command::new(python());
                command.arg(script);
                command
            }
        };
        command.arg(url);
        command
    }

    fn start(&self, url: &str) -> Process {
        Process::spawn(self.command(url))
    }
}

/// The most lines of a program in the guide that do something: neither blank, nor a comment, an inclusion or a brace.
const GUIDE_LINES: usize = 14;

fn does_something(line: &str) -> bool {
    let line = line.trim();
    let idle = ["/*", "#", "import ", "{", "}"];
    !line.is_empty() && !idle.iter().any(|beginning| line.starts_with(beginning))
}

/// The programs of docs/gateways.md by the names in their first lines; those in C compiled without a warning.
fn guide() -> &'static BTreeMap<String, Program> {
    static GUIDE: OnceLock<BTreeMap<String, Program>> = OnceLock::new();
    GUIDE.get_or_init(|| {
        let text = fs::read_to_string(build::root().join("docs/gateways.md")).unwrap();
        let blocks = ["c", "python"].map(|language| format!("\n```{language}\n"));
        let blocks = blocks.iter().flat_map(|fence| text.split(fence.as_str()).skip(1));
        let programs: BTreeMap<_, _> = blocks
            .map(|rest| {
                let code = rest.split("```").next().unwrap();
                let file = code.trim_start_matches(['/', '*', '#', ' ']).split(':').next().unwrap();
                let lines = code.lines().filter(|line| does_something(line)).count();
                assert!(lines <= GUIDE_LINES, "{file} has {lines} lines");
                let source = build::scratch("guide").join(file);
                fs::write(&source, code).unwrap();
                let name = source.file_stem().unwrap().to_str().unwrap().to_owned();
                let Some(library) = name.split('-').nth(1) else { return (name, Program::Python(source)) };
                let program = source.with_extension("");
                let mut compiler = build::compiler(Standard::C11);
                compiler.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]).arg(&source);
                build::run(compiler.arg("-o").arg(&program).arg(format!("-l{library}")));
                (name, Program::C(program))
            })
            .collect();
        let names = ["sub", "push", "req", "surveyor"];
        let expected: BTreeSet<_> =
            ["", "-nng", "-nanomsg"].iter().flat_map(|library| names.map(|name| format!("{name}{library}"))).collect();
        assert_eq!(programs.keys().cloned().collect::<BTreeSet<_>>(), expected);
        programs
    })
}

/// The programs of the guide over one library do what it says of them.
fn the_programs_work(library: &str, place: Place) {
    let site = Site::new();
    let watch = app("watch", &site.url);
    let program = |name: &str| &guide()[&format!("{name}{library}")];

    let mut push = program("push").start(&site.open("pull", place));
    let line = push.next_line();
    let load = line.strip_prefix("cpu/load is ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(receive(&watch, "me", "cpu/load").text().unwrap(), load);
    push.kill();

    let mut sub = program("sub").start(&site.open("pub", place));
    // The newest is sent to who joins.
    sub.next_line_with("cpu/load");
    send(&watch, "mem/free", "all of it");
    send(&watch, "cpu/idle", "for long");
    let line = match library {
        "" => "cpu/idle of watch is for long".to_owned(),
        _ => format!("cpu/idle: a body of {} bytes", state("watch", "cpu/idle", "for long").len()),
    };
    assert_eq!(sub.next_line_with("cpu/idle"), line);
    assert!(sub.lines().iter().all(|line| line.starts_with("cpu/")), "{:?}", sub.lines());

    let req = run(program("req").command(&site.open("rep", place)), b"");
    assert!(req.code == Some(0) && req.stderr.is_empty(), "{req:?}");
    match (library, &req.stdout[..]) {
        ("", [published, got, list, peers]) => {
            assert_eq!([published, got, peers], ["ok", "['me', 'cpu/load', '0.25']", "['watch']"]);
            assert!(list.contains(got) && list.contains("['watch', 'cpu/idle', 'for long']"), "{list}");
        }
        (_, [answer]) => {
            let load = answer.strip_prefix("..me.cpu/load.").unwrap_or_else(|| panic!("{answer}"));
            assert!(load.parse::<f64>().is_ok(), "{answer}");
        }
        _ => panic!("{req:?}"),
    }

    let mut surveyor = program("surveyor").start(&site.open("respondent", place));
    // It asks again and again.
    for _ in 0..2 {
        let answer = surveyor.next_line();
        let identifier =
            ["hub", "nanostate"].map(|text| format!("{}{text}", if library.is_empty() { "'" } else { "." }));
        assert!(identifier.iter().all(|part| answer.contains(part)), "{answer}");
    }
}

macro_rules! the_programs_of_the_guide_work {
    ($($test:ident: $library:literal, $place:ident;)*) => {$(
        #[test]
        fn $test() {
            the_programs_work($library, Place::$place);
        }
    )*};
}

the_programs_of_the_guide_work! {
    the_programs_of_the_guide_with_libnng_work_over_tcp: "-nng", Tcp;
    the_programs_of_the_guide_with_libnng_work_over_ipc: "-nng", Ipc;
    the_programs_of_the_guide_with_libnanomsg_work_over_tcp: "-nanomsg", Tcp;
    the_programs_of_the_guide_with_libnanomsg_work_over_ipc: "-nanomsg", Ipc;
    the_programs_of_the_guide_in_python_work_over_tcp: "", Tcp;
    the_programs_of_the_guide_in_python_work_over_ipc: "", Ipc;
}

/// The lines of the guide for a shell, with other addresses.
#[test]
fn the_lines_of_the_guide_for_a_shell_work() {
    let site = Site::new();
    let watch = app("watch", &site.url);
    let text = fs::read_to_string(build::root().join("docs/gateways.md")).unwrap();
    let ports = [("15011", "pub"), ("15012", "pull"), ("15013", "rep"), ("15014", "respondent")];
    let lines: BTreeMap<_, _> = text
        .lines()
        .filter(|line| line.starts_with("    nanocat "))
        .map(|line| {
            let (port, role) = ports.into_iter().find(|(port, _)| line.contains(port)).unwrap();
            let line = line.replace(&format!("tcp://127.0.0.1:{port}"), &site.open(role, Place::Tcp));
            (role, format!("exec{}", line.strip_prefix("   ").unwrap()))
        })
        .collect();
    assert_eq!(lines.len(), ports.len());
    let shell = |role: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&lines[role]);
        shell
    };

    let pushed = run(shell("pull"), b"");
    assert!(pushed.code == Some(0) && pushed.stderr.is_empty(), "{pushed:?}");
    assert_eq!(receive(&watch, "me", "cpu/load").text().unwrap(), "0.25");
    let asked = run(shell("rep"), b"");
    assert_eq!((asked.code, asked.stdout), (Some(0), vec!["..me.cpu/load.0.25".to_owned()]));
    let mut sub = Process::spawn(shell("pub"));
    assert_eq!(sub.next_line(), "cpu/load...me.cpu/load.0.25");
    // Asked once, a second after it was started, and answered within another: a busy machine may need more.
    let found = eventually("an answer to a survey", || run(shell("respondent"), b"").stdout.pop());
    assert!(found.contains("hub.nanostate"), "{found}");
}

// ---- every library, every transport

#[test]
fn what_python_pushes_appears_in_watch() {
    let (_hub, addresses) = support::Cli::hub(&["tcp://127.0.0.1:0", "pull+tcp://127.0.0.1:0"]);
    let mut watch = support::Cli::run(&["watch", "--connect", &addresses[0], "cpu/*"]);
    let mut push = guide()["push"].start(dialled(&addresses[1], "pull"));
    let load = push.next_line().split_off("cpu/load is ".len());
    assert_eq!(watch.next_line(), format!("me cpu/load {load}"));
}
