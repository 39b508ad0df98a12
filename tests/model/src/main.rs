//! Explores the scopes named on the command line, or all of them, and prints what was found. A number among the names ends
//! each search after so many states.

use std::process::ExitCode;

use apollo_model::{check, scopes};

fn main() -> ExitCode {
    let (numbers, named): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.parse::<usize>().is_ok());
    let most = numbers
        .first()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let mut sound = true;
    for scope in scopes::all() {
        if named.is_empty() || named.iter().any(|name| name == scope.name) {
            let explored = check::explore_up_to(scope, most);
            print!("{explored}");
            sound &= explored.broken.is_none() && explored.missed.is_empty();
        }
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
