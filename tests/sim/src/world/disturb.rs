//! What is wrong for a while: each disturbance is kept until its end, and whoever it concerns asks.

use super::{Event, World};
use crate::plan::{Disturbance, Millis};

impl World {
    /// Begins a disturbance.
    pub(super) fn disturb(&mut self, position: usize, for_ms: Millis, what: Disturbance) {
        let what = self.within_bounds(what);
        self.context.disturbances.insert(position, what);
        self.context.schedule(for_ms, Event::DisturbanceOver(position));
    }

    /// The numbers in it modulo how many there are.
    fn within_bounds(&self, what: Disturbance) -> Disturbance {
        let machines = self.machines.len();
        let replicas = self.replicas.len();
        match what {
            Disturbance::Loss { machine, percent } => Disturbance::Loss {
                machine: machine.map(|machine| machine % machines),
                percent,
            },
            Disturbance::Delay { machine, up_to_ms } => Disturbance::Delay {
                machine: machine.map(|machine| machine % machines),
                up_to_ms,
            },
            Disturbance::Partition {
                machine,
                replica,
                up,
                down,
            } => Disturbance::Partition {
                machine: machine % machines,
                replica: replica % replicas,
                up,
                down,
            },
            Disturbance::Blackout { machine } => Disturbance::Blackout {
                machine: machine % machines,
            },
            Disturbance::DiskFull { machine } => Disturbance::DiskFull {
                machine: machine % machines,
            },
            Disturbance::DiskSlow { machine, up_to_ms } => Disturbance::DiskSlow {
                machine: machine % machines,
                up_to_ms,
            },
            Disturbance::Store {
                replica,
                fault,
                percent,
            } => Disturbance::Store {
                replica: replica.map(|replica| replica % replicas),
                fault,
                percent,
            },
            Disturbance::CrashLoop { machine } => Disturbance::CrashLoop {
                machine: machine % machines,
            },
            Disturbance::SpawnFails { machine } => Disturbance::SpawnFails {
                machine: machine % machines,
            },
            Disturbance::Duplication { .. } | Disturbance::WatchLag { .. } => what,
        }
    }
}
