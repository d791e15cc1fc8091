//! The flags of `nanostate hub` that set options of the hub: one for each, made from the library's table.

use std::borrow::Cow;

use clap::builder::{NonEmptyStringValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use nanostate::options::Unit;
use nanostate::{AppOption, AppText, HubOption, HubText};

/// The options that were given, and their values.
pub struct Options {
    pub numbers: Vec<(HubOption, i64)>,
    pub texts: Vec<(HubText, String)>,
}

/// The flag of an option: `--max-message` for `NS_OPT_HUB_MAX_MESSAGE`. The value of a duration has its unit.
fn flag(option: HubOption) -> String {
    let name = option.about().name;
    let name = match option.about().unit {
        Unit::Milliseconds => name.strip_suffix("_MS").unwrap_or(name),
        _ => name,
    };
    flag_of(name)
}

/// The flag of an option with this name: `--tls-cert` for `NS_OPT_HUB_TLS_CERT`, and `--ca` for `NS_OPT_TLS_CA`.
pub fn flag_of(name: &str) -> String {
    let short =
        ["NS_OPT_HUB_", "NS_OPT_TLS_", "NS_OPT_"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    short.to_ascii_lowercase().replace('_', "-")
}

/// A text of the library, with flags in place of the options that it names.
pub fn with_flags(text: &str) -> Cow<'_, str> {
    let numbers = HubOption::ALL.iter().map(|option| (option.about().name, flag(*option)));
    let texts =
        HubText::ALL.iter().map(|option| option.about()).chain(AppText::ALL.iter().map(|option| option.about()));
    let clear = AppOption::ClearToken.about().name;
    let numbers = numbers.chain([(clear, flag_of(clear))]);
    let flags = numbers.chain(texts.map(|about| (about.name, flag_of(about.name))));
    let named = flags.filter(|(name, _)| text.contains(name));
    named.fold(text.into(), |text, (name, flag)| text.replace(name, &format!("--{flag}")).into())
}

/// The group of `--help` that an option belongs to; `None` for that of the other flags.
fn heading(option: HubOption) -> Option<&'static str> {
    let heading = match option {
        HubOption::MaxMessage | HubOption::MaxPeers | HubOption::Outbox | HubOption::Unfinished => "Limits",
        HubOption::Memory | HubOption::StalledFrameMs | HubOption::Progress | HubOption::HandshakeMs => "Limits",
        HubOption::TableStates | HubOption::TableBytes | HubOption::DepartedMs => "Kept states",
        HubOption::LegacyMax | HubOption::LegacyStructured | HubOption::LegacySnapshot => "Old programs",
        HubOption::AllowLocalPages | HubOption::MaxWebsockets | HubOption::HttpRate => "Web pages",
        HubOption::SuspectMs | HubOption::LostMs => "Silent apps",
        HubOption::ReadWithoutToken | HubOption::ClearTokens => "Access tokens",
        HubOption::IpcMode | HubOption::Echo => return None,
    };
    Some(heading)
}

fn argument(option: HubOption) -> Arg {
    let about = option.about();
    let mut argument = Arg::new(about.name).long(flag(option)).help_heading(heading(option));
    if let HubOption::ReadWithoutToken | HubOption::ClearTokens = option {
        // Whoever gives it believes that tokens are asked for.
        argument = argument.requires(HubText::TokenFile.about().name);
    }
    let text = with_flags(about.text).into_owned();
    let value_name = match about.unit {
        Unit::Flag => return argument.action(ArgAction::SetTrue).help(text),
        Unit::Count => "NUMBER",
        Unit::Bytes => "SIZE",
        Unit::Milliseconds => "DURATION",
        Unit::Permissions => "OCTAL",
    };
    argument.value_name(value_name).value_parser(ValueParser::new(move |text: &str| about.parse(text))).help(format!(
        "{text} ({}) [default: {}]",
        about.range(),
        about.unit.show(about.default)
    ))
}

fn text_argument(option: HubText) -> Arg {
    let about = option.about();
    let help = with_flags(about.text).into_owned();
    let (heading, value_name) = match option {
        HubText::TlsCert | HubText::TlsKey => ("TLS", "FILE"),
        HubText::Www => ("Web pages", "DIR"),
        HubText::TokenFile => ("Access tokens", "FILE"),
    };
    let argument = Arg::new(about.name).long(flag_of(about.name)).help_heading(heading).value_name(value_name);
    // Empty it would count as not given: a variable that is not set must not leave a hub open.
    argument.value_parser(NonEmptyStringValueParser::new()).help(help)
}

impl clap::Args for Options {
    fn augment_args(command: Command) -> Command {
        let texts = HubText::ALL.iter().map(|option| text_argument(*option));
        command.args(HubOption::ALL.iter().map(|option| argument(*option))).args(texts)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Options::augment_args(command)
    }
}

impl clap::FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Options, clap::Error> {
        let given = |option: &HubOption| {
            let about = option.about();
            let value = match about.unit {
                Unit::Flag => matches.get_flag(about.name).then_some(1),
                _ => matches.get_one(about.name).copied(),
            };
            value.map(|value| (*option, value))
        };
        let text = |option: &HubText| matches.get_one(option.about().name).cloned().map(|value| (*option, value));
        Ok(Options {
            numbers: HubOption::ALL.iter().filter_map(given).collect(),
            texts: HubText::ALL.iter().filter_map(text).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Options::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Vec<(HubOption, i64)>, String> {
        let command = Options::augment_args(Command::new("hub").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        Ok(Options::from_arg_matches(&matches).unwrap().numbers)
    }

    #[test]
    fn every_option_has_a_flag_that_takes_what_help_shows() {
        for option in HubOption::ALL {
            let (about, flag) = (option.about(), format!("--{}", flag(*option)));
            let given = match about.unit {
                Unit::Flag => parse(&[&flag, "--token-file", "tokens"]),
                _ => parse(&[&flag, &about.unit.show(about.high)]),
            };
            assert_eq!(given, Ok(vec![(*option, about.high)]), "{flag}");
        }
        assert_eq!(parse(&[]), Ok(vec![]));
        let help = Options::augment_args(Command::new("hub")).render_long_help().to_string();
        assert!(help.contains("--stalled-frame; one") && !help.contains("NS_OPT_"), "{help}");
    }

    #[test]
    fn a_text_of_the_library_names_flags() {
        for option in HubOption::ALL {
            let name = option.about().name;
            assert_eq!(with_flags(&format!("a {name}; {name} b")), format!("a --{0}; --{0} b", flag(*option)));
        }
        assert_eq!(with_flags("NS_OPT_HUB_TLS_KEY, NS_OPT_TLS_CA"), "--tls-key, --ca");
        assert_eq!(with_flags("NS_OPT_TOKEN, NS_OPT_CLEAR_TOKEN"), "--token, --clear-token");
        assert_eq!(with_flags("NS_OPT_HUB_, NS_OPT_LINGER_MS"), "NS_OPT_HUB_, NS_OPT_LINGER_MS");
    }

    #[test]
    fn a_flag_that_would_leave_a_hub_open_is_refused() {
        for (arguments, words) in [
            (&["--token-file", ""][..], "a value is required for '--token-file <FILE>'"),
            (&["--token-file="], "a value is required for '--token-file <FILE>'"),
            (&["--read-without-token"], "--token-file <FILE>"),
            (&["--clear-tokens"], "--token-file <FILE>"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_value_that_is_refused_is_named_with_its_flag() {
        for (arguments, words) in [
            (["--max-message", "64MB"], "'64MB' for '--max-message <SIZE>': expected a size, like "),
            (["--outbox", "2GiB"], "'2GiB' for '--outbox <SIZE>': expected 1B to 1GiB"),
            (["--handshake", "5000"], "'5000' for '--handshake <DURATION>': expected a duration with its unit, like "),
            (["--ipc-mode", "999"], "'999' for '--ipc-mode <OCTAL>': expected octal permissions, like 0660"),
            (["--max-peers", "0"], "'0' for '--max-peers <NUMBER>': expected 1 to 2147483647"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
