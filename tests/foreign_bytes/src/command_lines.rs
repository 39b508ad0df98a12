//! Command lines of both programs, and the texts that stand in flags: names, times, hashes, addresses.

use std::{fmt, str::FromStr};

use apollo_agent::client::GatewayUrl;
use apollo_gateway::manifest::Kind;
use apollo_wire::{DeviceName, InstanceId, ProcessRef, SpecHash, UnixMillis};
use clap::Parser;

/// Most arguments that are looked at: a command line has a handful.
const ARGUMENTS_MAX: usize = 16;

/// Arguments, one a line. What parses as a value is written as it was understood, and that parses to the same.
pub fn command_lines(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let arguments: Vec<&str> = text.split('\n').take(ARGUMENTS_MAX).collect();
    for argument in &arguments {
        rereads::<DeviceName>(argument);
        rereads::<ProcessRef>(argument);
        rereads::<InstanceId>(argument);
        rereads::<SpecHash>(argument);
        rereads::<UnixMillis>(argument);
        rereads::<GatewayUrl>(argument);
        if let Ok(kind) = argument.parse::<Kind>() {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }
    let with_program = |program| [program].into_iter().chain(arguments.iter().copied());
    for refused in [
        apollo_agent::cli::Cli::try_parse_from(with_program("apollo-agent")).err(),
        apollo_gateway::cli::Cli::try_parse_from(with_program("apollo-gateway")).err(),
    ]
    .into_iter()
    .flatten()
    {
        // 0 where help or version was asked for, else the usage code of the contract.
        assert!([0, 2].contains(&refused.exit_code()), "{refused}");
        assert!(!refused.to_string().is_empty());
    }
}

fn rereads<T: FromStr<Err: fmt::Display> + fmt::Display + fmt::Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            let again = written.parse::<T>().map_err(|error| error.to_string());
            assert_eq!(again.as_ref(), Ok(&value), "{written}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
