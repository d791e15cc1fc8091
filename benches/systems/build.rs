//! Finds the C libraries of the systems that are measured.
//!
//! For each library a small C program is compiled, linked and run. It prints the constants and the layout of the
//! structures that its module uses, as Rust, so that no number of a header is written down twice. A library that is not
//! here, or whose header is too old, leaves its cfg unset: its module then says what to install.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

struct Library {
    /// `have_<name>` is the cfg, `<name>.rs` in OUT_DIR what the headers say.
    name: &'static str,
    /// For pkg-config.
    package: &'static str,
    /// For the linker, where pkg-config does not know the package.
    link: &'static str,
    headers: &'static [&'static str],
    /// Become constants of type c_int.
    numbers: &'static [&'static str],
    /// Become constants of type &CStr.
    texts: &'static [&'static str],
    /// Become `<STRUCTURE>_SIZE`.
    sizes: &'static [&'static str],
    /// Become `<STRUCTURE>_<FIELD>`, an offset.
    offsets: &'static [(&'static str, &'static [&'static str])],
}

const LIBRARIES: &[Library] = &[
    Library {
        name: "zeromq",
        package: "libzmq",
        link: "zmq",
        headers: &["zmq.h"],
        numbers: &[
            "ZMQ_DONTWAIT",
            "ZMQ_EVENT_HANDSHAKE_SUCCEEDED",
            "ZMQ_LINGER",
            "ZMQ_MAX_SOCKETS",
            "ZMQ_PAIR",
            "ZMQ_POLLIN",
            "ZMQ_PUB",
            "ZMQ_RCVHWM",
            "ZMQ_RCVTIMEO",
            "ZMQ_SNDHWM",
            "ZMQ_SUB",
            "ZMQ_SUBSCRIBE",
            "ZMQ_XPUB",
            "ZMQ_XSUB",
        ],
        texts: &[],
        sizes: &["zmq_msg_t", "zmq_pollitem_t"],
        offsets: &[("zmq_pollitem_t", &["socket", "fd", "events", "revents"])],
    },
    Library {
        name: "nanomsg",
        package: "nanomsg",
        link: "nanomsg",
        headers: &["nanomsg/nn.h", "nanomsg/bus.h"],
        numbers: &[
            "AF_SP",
            "AF_SP_RAW",
            "NN_BUS",
            "NN_DONTWAIT",
            "NN_RCVFD",
            "NN_RCVMAXSIZE",
            "NN_RCVTIMEO",
            "NN_SOL_SOCKET",
            "NN_STAT_CURRENT_CONNECTIONS",
        ],
        texts: &[],
        sizes: &[],
        offsets: &[],
    },
    Library {
        name: "nng",
        package: "nng",
        link: "nng",
        headers: &["nng/nng.h", "nng/protocol/bus0/bus.h"],
        numbers: &["NNG_EAGAIN", "NNG_ETIMEDOUT", "NNG_FLAG_NONBLOCK"],
        texts: &["NNG_OPT_RECVBUF", "NNG_OPT_RECVFD", "NNG_OPT_RECVMAXSZ", "NNG_OPT_RECVTIMEO", "NNG_OPT_SENDBUF"],
        sizes: &["nng_socket"],
        offsets: &[("nng_socket", &["id"])],
    },
    Library {
        name: "hiredis",
        package: "hiredis",
        link: "hiredis",
        headers: &["hiredis/hiredis.h"],
        numbers: &[
            "HIREDIS_MAJOR",
            "HIREDIS_MINOR",
            "HIREDIS_PATCH",
            "REDIS_REPLY_ARRAY",
            "REDIS_REPLY_ERROR",
            "REDIS_REPLY_STRING",
        ],
        texts: &[],
        sizes: &[],
        offsets: &[
            ("redisReply", &["type", "len", "str", "elements", "element"]),
            ("redisContext", &["err", "errstr", "fd"]),
        ],
    },
    Library {
        name: "mosquitto",
        package: "libmosquitto",
        link: "mosquitto",
        headers: &["mosquitto.h", "mqtt_protocol.h"],
        numbers: &[
            "MOSQ_ERR_SUCCESS",
            "MOSQ_OPT_PROTOCOL_VERSION",
            "MOSQ_OPT_TCP_NODELAY",
            "MQTT_PROTOCOL_V5",
            "MQTT_SUB_OPT_NO_LOCAL",
        ],
        texts: &[],
        sizes: &["struct mosquitto_message"],
        offsets: &[("struct mosquitto_message", &["topic", "payload", "payloadlen"])],
    },
    Library {
        name: "nats",
        package: "libnats",
        link: "nats",
        headers: &["nats/nats.h"],
        numbers: &["NATS_OK", "NATS_TIMEOUT"],
        texts: &[],
        sizes: &[],
        offsets: &[],
    },
];

/// Where neither pkg-config nor Cargo.lock has a version.
const UNKNOWN: &str = "of unknown version";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo::rerun-if-env-changed=CC");
    let zenoh = locked_version("zenoh").unwrap_or_else(|| UNKNOWN.into());
    println!("cargo::rustc-env=ZENOH_VERSION={zenoh}");
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for library in LIBRARIES {
        println!("cargo::rustc-check-cfg=cfg(have_{})", library.name);
        for header in library.headers {
            println!("cargo::rerun-if-changed={}", Path::new("/usr/include").join(header).display());
        }
        if library.package == "nanomsg" {
            // The one library that has no function for its version.
            let version = pkg_config(library, "--modversion").unwrap_or_else(|| UNKNOWN.into());
            println!("cargo::rustc-env=NANOMSG_VERSION={version}");
        }
        let flags = pkg_config(library, "--libs").unwrap_or_else(|| format!("-l{}", library.link));
        if let Some(constants) = probe(library, &directory, &flags) {
            let file = directory.join(library.name).with_extension("rs");
            fs::write(&file, constants).unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
            println!("cargo::rustc-cfg=have_{}", library.name);
            for flag in flags.split_whitespace() {
                match flag.split_at_checked(2) {
                    Some(("-L", path)) => println!("cargo::rustc-link-search=native={path}"),
                    Some(("-l", name)) => println!("cargo::rustc-link-lib=dylib={name}"),
                    _ => println!("cargo::rustc-link-arg={flag}"),
                }
            }
        }
    }
}

/// The version of a crate that was chosen: it has none to ask for.
fn locked_version(name: &str) -> Option<String> {
    let file = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", file.display());
    let text = fs::read_to_string(file).ok()?;
    let (_, rest) = text.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next().map(str::to_string)
}

/// What the command prints, if it ends well.
fn output<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn pkg_config(library: &Library, what: &str) -> Option<String> {
    output("pkg-config", [what, library.package])
}

/// The constants of the headers as Rust, or None when they are not here, lack one, or do not link.
fn probe(library: &Library, directory: &Path, flags: &str) -> Option<String> {
    let source = directory.join(library.name).with_extension("c");
    let program = directory.join(library.name);
    fs::write(&source, source_text(library)).unwrap_or_else(|e| panic!("cannot write {}: {e}", source.display()));
    let mut arguments = vec!["-o".into(), program.clone().into_os_string(), source.into_os_string()];
    arguments.extend(pkg_config(library, "--cflags").unwrap_or_default().split_whitespace().map(Into::into));
    arguments.extend(flags.split_whitespace().map(Into::into));
    output(env::var_os("CC").unwrap_or_else(|| "cc".into()), arguments)?;
    output(program, [""; 0])
}

fn source_text(library: &Library) -> String {
    let mut text = String::from("#include <errno.h>\n#include <stddef.h>\n#include <stdio.h>\n");
    for header in library.headers {
        text += &format!("#include <{header}>\n");
    }
    text += "int main(void)\n{\n";
    for name in library.numbers {
        text += &format!("    printf(\"pub const {name}: ::std::ffi::c_int = %d;\\n\", (int)({name}));\n");
    }
    for name in library.texts {
        text += &format!("    printf(\"pub const {name}: &::std::ffi::CStr = c\\\"%s\\\";\\n\", {name});\n");
    }
    let constant = |structure: &str, what: &str, value: String| {
        let name = format!("{}_{}", structure.trim_start_matches("struct "), what).to_uppercase();
        format!("    printf(\"pub const {name}: usize = %zu;\\n\", {value});\n")
    };
    for structure in library.sizes {
        text += &constant(structure, "size", format!("sizeof({structure})"));
    }
    for (structure, fields) in library.offsets {
        for field in *fields {
            text += &constant(structure, field, format!("offsetof({structure}, {field})"));
        }
    }
    text + "    return 0;\n}\n"
}
