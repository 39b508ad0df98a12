//! The world: everything there is, and the loop that lets one thing happen after the other.

mod context;
mod disturb;
mod event;
mod operator;
mod store;

use std::collections::BTreeMap;

use apollo_twins::store::Store;
use apollo_wire::{DeviceName, Observation};

pub use context::Context;
pub use event::{Event, Life, WorkId};

use crate::{
    agent::{Machine, Settings},
    checkers::{Checkers, End, MachineEnd},
    facts::{Fact, Token},
    gateway::{self, Replica},
    network,
    plan::{Action, Millis, Plan, Timed},
    sabotage::Sabotage,
};

/// How long everything has to come to rest once all is quiet. The longest an agent stays away of its own accord is
/// [`apollo_agent_core::engine::Limits::refused_delay`] or its backoff's cap, five minutes each, one jitter on top; before
/// that it may have been told to stay away, and after it a full queue leaves in small batches and a device that sleeps
/// for a quarter of an hour has to miss its next contact.
pub const SETTLE_MS: Millis = 60 * 60 * 1_000;

/// See the module's documentation.
pub struct World {
    plan: Plan,
    sabotage: Sabotage,
    /// What everything shares.
    pub context: Context,
    machines: Vec<Machine>,
    replicas: Vec<Replica>,
    store: Store,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(plan: Plan, sabotage: Sabotage, trace: bool) -> Self {
        let checkers = Checkers::new(&plan.world);
        let mut context = Context::new(plan.seed, checkers, trace);
        let settings = Settings::of(&plan.world);
        let machines = (0..plan.world.devices)
            .map(|id| Machine::new(&mut context, id, device_name(id), settings, sabotage))
            .collect();
        let replicas = (0..plan.world.replicas)
            .map(|id| Replica::new(id, &plan.world, sabotage))
            .collect();
        for (position, timed) in plan.actions.iter().enumerate() {
            context.schedule(timed.at_ms, Event::Action(position));
        }
        context.schedule(plan.quiet_at(), Event::Quiet);
        Self {
            plan,
            sabotage,
            context,
            machines,
            replicas,
            store: Store::default(),
        }
    }

    /// Lets everything happen, and has the checkers look at the end. Stops at the first violation.
    pub fn run(&mut self) {
        for replica in &mut self.replicas {
            replica.start(&mut self.context);
        }
        for machine in &mut self.machines {
            machine.start_agent(&mut self.context);
        }
        let end_ms = self.plan.quiet_at() + SETTLE_MS;
        while let Some(event) = self.context.next_event(end_ms) {
            self.on_event(event);
            if self.context.violation.is_some() {
                return;
            }
        }
        self.context.now = end_ms;
        self.look_at_the_end();
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Action(position) => self.act(position),
            Event::DisturbanceOver(position) => {
                self.context.disturbances.remove(&position);
                self.context.note(|| "the disturbance is over".to_owned());
            }
            Event::Quiet => self.quiet(),
            Event::Transmit(message, sent_before) => {
                network::transmit(&mut self.context, message, sent_before);
            }
            Event::Arrive(message) => self.arrive(message),
            event => self.on_event_of_one(event),
        }
    }

    /// Events of one machine or one replica; those of a life that is over are dropped.
    fn on_event_of_one(&mut self, event: Event) {
        let context = &mut self.context;
        match event {
            Event::StartAgent(id, life) => {
                self.machines
                    .living(id, life, |machine| machine.start_agent(context));
            }
            Event::SetClock(id, boot) => {
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.set_clock(boot);
                }
            }
            Event::WakeAgent(id, life) => self.machines.living(id, life, |machine| machine.wake(context)),
            Event::Commit(id, life) => self.machines.living(id, life, |machine| machine.commit(context)),
            Event::Committed(id, life) => {
                self.machines
                    .living(id, life, |machine| machine.committed(context));
            }
            Event::Silence(id, life, attempt) => {
                self.machines
                    .living(id, life, |machine| machine.on_silence(context, attempt));
            }
            Event::RunEnds(id, life, process, run, exit) => {
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.on_run_ended(context, life, process, run, exit);
                }
            }
            event => self.on_event_of_replica(event),
        }
    }

    fn on_event_of_replica(&mut self, event: Event) {
        let context = &mut self.context;
        match event {
            Event::StartGateway(id, life) => {
                self.replicas.living(id, life, |replica| replica.start(context));
            }
            Event::Execute(life, work, by, request) => self.execute(life, work, &by, request),
            Event::Patch(id, life, by, request) => self.patch(id, life, &by, *request),
            Event::Patched(id, life, key, result, written) => {
                self.replicas.living(id, life, |replica| {
                    replica.on_patched(context, &key, result, written.map(|written| *written));
                });
            }
            Event::Pump(id, life) => self.replicas.living(id, life, |replica| replica.pump(context)),
            Event::Answered(id, life, work, reply) => {
                self.replicas
                    .living(id, life, |replica| replica.on_reply(context, work, reply));
            }
            Event::PauseOver(id, life, work) => {
                self.replicas
                    .living(id, life, |replica| replica.on_pause_over(context, work));
            }
            Event::ExchangeTimeout(id, life, work) => {
                self.replicas
                    .living(id, life, |replica| replica.on_exchange_timeout(context, work));
            }
            Event::Watch(id, life) => {
                let objects = &self.store.objects;
                self.replicas
                    .living(id, life, |replica| replica.on_watch(context, objects));
            }
            Event::WatchAgain(id, life) => {
                self.replicas
                    .living(id, life, |replica| replica.begin_watch(context));
            }
            Event::Look(id, life) => self.replicas.living(id, life, |replica| replica.on_look(context)),
            _ => {}
        }
    }

    fn arrive(&mut self, message: network::Message) {
        let goes_down = !message.goes_up();
        let context = &mut self.context;
        if goes_down {
            let (id, life) = (message.machine, message.agent_life);
            self.machines
                .living(id, life, |machine| machine.on_message(context, message));
        } else if let (Some(replica), Some(machine)) = (
            self.replicas.get_mut(message.replica),
            self.machines.get(message.machine),
        ) {
            replica.on_message(context, message, &machine.device);
        }
    }

    /// Faults and workload are over: disturbances end, gateways' clocks and watches are well, nobody is blocked.
    fn quiet(&mut self) {
        self.context.note(|| "all is quiet".to_owned());
        self.context.fact(Fact::Quiet);
        self.context.disturbances.clear();
        self.unblock_all();
        let context = &mut self.context;
        for replica in &mut self.replicas {
            replica.off_by_ms = 0;
            replica.start(context);
        }
        for machine in &mut self.machines {
            machine.clock = crate::agent::DeviceClock::right();
            machine.start_agent(context);
        }
    }

    fn look_at_the_end(&mut self) {
        let machines: Vec<MachineEnd> = self
            .machines
            .iter()
            .map(|machine| MachineEnd {
                id: machine.id,
                device: machine.device.clone(),
                queue: machine.queue.clone(),
                is_gone: machine.is_gone,
                is_running: machine.is_running(),
                processes: machine.processes(),
            })
            .collect();
        let originals: BTreeMap<Token, Observation> = self.context.take_originals();
        let end = End {
            at_ms: self.context.now,
            quiet_at_ms: self.plan.quiet_at(),
            policy: gateway::policy(&self.plan.world),
            heartbeat_ms: self.plan.world.heartbeat_s * 1_000,
            store: &self.store,
            machines: &machines,
            originals: &originals,
        };
        self.context.check_end(&end);
    }

    fn act(&mut self, position: usize) {
        let Some(Timed { action, .. }) = self.plan.actions.get(position).cloned() else {
            return;
        };
        self.context.note(|| format!("action {position}: {action:?}"));
        match action {
            Action::Disturb { for_ms, what } => self.disturb(position, for_ms, what),
            action => self.act_once(action),
        }
        for replica in &mut self.replicas {
            replica.store_changed(&mut self.context);
        }
    }
}

/// Something of which each start is another life.
trait Living<T> {
    /// Does it with the one of this number, if it is still in this life.
    fn living(&mut self, id: usize, life: Life, then: impl FnOnce(&mut T));
}

impl Living<Machine> for Vec<Machine> {
    fn living(&mut self, id: usize, life: Life, then: impl FnOnce(&mut Machine)) {
        if let Some(machine) = self.get_mut(id).filter(|machine| machine.life == life) {
            then(machine);
        }
    }
}

impl Living<Replica> for Vec<Replica> {
    fn living(&mut self, id: usize, life: Life, then: impl FnOnce(&mut Replica)) {
        if let Some(replica) = self.get_mut(id).filter(|replica| replica.life == life) {
            then(replica);
        }
    }
}

/// The name of a device by its number.
#[expect(clippy::expect_used, reason = "made of letters, a hyphen and digits")]
pub fn device_name(number: usize) -> DeviceName {
    format!("buoy-{number}").parse().expect("a name")
}
