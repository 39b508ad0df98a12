//! The driver's loop: effects first, then whatever has happened, in the order of `apollo_agent::driver`.

use apollo_agent_core::engine::{Event as EngineEvent, state::State};

use super::{Machine, disk::Call, intake::CHANNEL};
use crate::{
    facts::Fact,
    plan::Millis,
    world::{Context, Event},
};

/// How long the last exchange may take once everything else has ended.
const LAST_EXCHANGE_MS: Millis = 5_000;

/// Most steps in one moment: far more than any moment needs, so that a driver that spins is seen.
const STEPS_MAX: u32 = 10_000;

impl Machine {
    /// Goes on until there is nothing to do at this moment, then sees to it that somebody wakes the agent.
    pub fn pump(&mut self, context: &mut Context) {
        let mut steps = 0;
        loop {
            let supervised = self.supervise(context);
            let driven = self.step(context);
            if !supervised && !driven {
                break;
            }
            steps += 1;
            if steps > STEPS_MAX {
                context.fact(Fact::AgentStuck { machine: self.id });
                return;
            }
        }
        self.arm(context);
    }

    /// One step of the driver; false if it waits.
    fn step(&mut self, context: &mut Context) -> bool {
        let now = context.now;
        let Some(agent) = &mut self.agent else {
            return false;
        };
        if agent.awaits_disk {
            return false;
        }
        if let Some(effect) = agent.engine.poll_effect() {
            self.perform(context, effect);
            return true;
        }
        if agent.stop.stopped {
            self.end(context);
            return false;
        }
        self.occurrence(context, now)
    }

    /// Takes the first thing that has happened, if anything has.
    fn occurrence(&mut self, context: &mut Context, now: Millis) -> bool {
        let Some(agent) = &mut self.agent else {
            return false;
        };
        let stopping = agent.stop.asked;
        let due = |at: Option<Millis>| at.is_some_and(|at| at <= now);
        if agent.stop.requested && !stopping {
            self.on_stop_asked(now);
        } else if agent.intake.takes_in(stopping) && !agent.intake.channel.is_empty() {
            let observations = agent.intake.receive();
            if agent.intake.retry_at_ms.is_some() {
                agent.intake.unsaved.extend(observations);
            } else {
                self.store(context, observations);
            }
        } else if agent.intake.takes_in(stopping) && agent.supervision.has_ended() {
            agent.intake.closed = true;
            self.begin_last_exchange(now);
        } else if due(agent.intake.retry_at_ms) {
            agent.intake.retry_at_ms = None;
            let unsaved = std::mem::take(&mut agent.intake.unsaved);
            self.store(context, unsaved);
        } else if let Some(finished) = agent.finished.take() {
            agent.taken = finished.taken;
            self.tell(now, EngineEvent::Exchanged(finished.exchanged));
        } else if due(self.engine_due_ms()) {
            self.tell(now, EngineEvent::TimerFired);
        } else if due(self.agent.as_ref().and_then(|agent| agent.look_at_ms)) {
            self.look(context);
        } else if due(self.agent.as_ref().and_then(|agent| agent.stop.end_by_ms)) {
            self.end(context);
            return false;
        } else {
            return false;
        }
        true
    }

    fn look(&mut self, context: &mut Context) {
        if let Some(agent) = &mut self.agent {
            agent.look_at_ms = None;
            agent.awaits_disk = true;
        }
        self.call(context, Call::Look);
    }

    pub(super) fn tell(&mut self, now: Millis, event: EngineEvent) {
        if let Some(agent) = &mut self.agent {
            let now = agent.monotonic(now);
            agent.engine.handle(event, now);
        }
    }

    /// Tells the engine how full the queue is.
    pub(super) fn note_depth(&mut self, now: Millis, pending: u64) {
        if self
            .agent
            .as_ref()
            .is_some_and(|agent| agent.engine.pending() != pending)
        {
            self.tell(now, EngineEvent::Queued { pending });
        }
    }

    fn on_stop_asked(&mut self, now: Millis) {
        let Some(agent) = &mut self.agent else { return };
        agent.stop.asked = true;
        agent.supervision.shutdown_asked = true;
        agent.stop.end_by_ms = Some(now + agent.supervision.longest_shutdown_ms() + LAST_EXCHANGE_MS);
    }

    fn begin_last_exchange(&mut self, now: Millis) {
        self.tell(now, EngineEvent::Shutdown);
        if let Some(agent) = &mut self.agent {
            agent.stop.asked = true;
            agent.stop.end_by_ms = Some(now + LAST_EXCHANGE_MS);
        }
    }

    /// When the engine's timer is due, by the world's clock.
    fn engine_due_ms(&self) -> Option<Millis> {
        let agent = self.agent.as_ref()?;
        if self.sabotage.loses_timer(agent.engine.state()) {
            return None;
        }
        let due = agent.engine.poll_timeout()?;
        Some(agent.began_ms + due.as_millis())
    }

    /// Schedules the next wake-up; tells the checkers if there will be none although there should.
    fn arm(&mut self, context: &mut Context) {
        let engine_due = self.engine_due_ms();
        let (id, life) = (self.id, self.life);
        let Some(agent) = &mut self.agent else { return };
        let works = agent.exchange.is_some() || agent.awaits_disk || agent.disk.under_way().is_some();
        if !works && engine_due.is_none() && agent.engine.state() != State::Stopped {
            context.fact(Fact::AgentStuck { machine: id });
        }
        let own = [
            engine_due,
            agent.intake.retry_at_ms,
            agent.look_at_ms,
            agent.stop.end_by_ms,
        ];
        // A driver that waits for the disk looks at everything else when the disk is done.
        let own = own.into_iter().flatten().filter(|_| !agent.awaits_disk);
        let blocked = agent.intake.channel.len() >= CHANNEL;
        let supervisor = agent.supervision.timeout_ms(agent.began_ms).filter(|_| !blocked);
        let next = own.chain(supervisor).min().map(|at| at.max(context.now + 1));
        if let Some(at) = next
            && agent
                .wake_at_ms
                .is_none_or(|armed| armed > at || armed <= context.now)
        {
            agent.wake_at_ms = Some(at);
            context.schedule(at - context.now, Event::WakeAgent(id, life));
        }
    }
}
