//! Telling the user what happens, with colours only on a terminal.

use std::{
    io::{IsTerminal, Write, stdout},
    time::Instant,
};

use super::system::System;
use crate::harness::Program;

/// Prints the story to stdout.
pub struct Narrator {
    colour: bool,
    step: u32,
    started: Instant,
}

/// SGR codes (ECMA-48, 8.3.117).
const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const DIM: &str = "2";

impl Narrator {
    /// Colours if stdout is a terminal and `NO_COLOR` is not set.
    pub fn new() -> Self {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            colour,
            step: 0,
            started: Instant::now(),
        }
    }

    /// The headline.
    pub(super) fn title(&self, text: &str) -> anyhow::Result<()> {
        print_line(&self.paint(BOLD, text))
    }

    /// Begins the next step.
    pub(super) fn step(&mut self, text: &str) -> anyhow::Result<()> {
        self.step += 1;
        let at = self.paint(DIM, &format!("{:5.1} s", self.started.elapsed().as_secs_f64()));
        let head = self.paint(BOLD, &format!("{}. {text}", self.step));
        print_line(&format!("\n{head}  {at}"))
    }

    /// A line of the current step.
    #[expect(clippy::unused_self, reason = "a line belongs to the step the narrator is in")]
    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        print_line(&format!("   {text}"))
    }

    /// A command's output or a table, indented and dimmed.
    pub(super) fn quote(&self, text: &str) -> anyhow::Result<()> {
        for line in text.lines() {
            print_line(&format!("   {} {line}", self.paint(DIM, "|")))?;
        }
        Ok(())
    }

    /// The outcome.
    pub(super) fn outcome(&self, good: bool, text: &str) -> anyhow::Result<()> {
        let (colour, word) = if good { (GREEN, "OK") } else { (RED, "FAILED") };
        print_line(&format!("   {}  {text}", self.paint(colour, word)))
    }

    /// What to try while the system runs.
    pub(super) fn look_around(&mut self, system: &System) -> anyhow::Result<()> {
        let (data, store) = (
            system.agent.data_dir().display(),
            system.store().display().to_string(),
        );
        let (agent, gateway) = (Program::Agent.path()?, Program::Gateway.path()?);
        let (agent, gateway) = (agent.display(), gateway.display());
        self.step("Look around")?;
        self.say("Everything keeps running until you press Ctrl-C. Try, in another terminal:")?;
        for (what, command) in [
            (
                "what the gateway knows",
                format!("{gateway} get deviceprocesses --store embedded:{store}"),
            ),
            (
                "",
                format!("{gateway} get observations --device buoy-17 -o json --store embedded:{store}"),
            ),
            (
                "the device's queue",
                format!("sqlite3 {data}/agent.db 'select * from queue'"),
            ),
            ("", format!("sqlite3 {data}/agent.db 'select * from sync_status'")),
            (
                "add an observation",
                format!("{agent} observe --process default/collector --value temp=4.2 --data-dir {data}"),
            ),
            (
                "health and metrics",
                format!("http://{}/metrics", system.gateway.admin()),
            ),
        ] {
            if !what.is_empty() {
                self.say(&format!("{what}:"))?;
            }
            self.say(&format!("  {command}"))?;
        }
        Ok(())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Prints a line at once, also into a pipe.
fn print_line(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

impl Default for Narrator {
    fn default() -> Self {
        Self::new()
    }
}
