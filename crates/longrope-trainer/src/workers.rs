//! The devices of a training: each computes some of the micro-batches of a step.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use longrope_model::{Decoder, Gradients, LossGradients, Placement, Recompute, Teacher, Trained};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::homes::Homes;
use crate::micro_batch::MicroBatch;
use crate::step_sums::StepSums;
use crate::threads::thread_shares;

/// How far workers may be ahead of what has been added up, in micro-batches for each of them. Their gradients wait in
/// memory.
const AHEAD: usize = 2;

/// A device that takes part in a training.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its name, for messages.
    pub name: String,
    /// The device, or several with some of the layers each.
    pub placement: Placement,
    /// Whether it is this machine's CPU, whose threads such workers share.
    pub is_cpu: bool,
}

/// The workers of a training.
///
/// Micro-batches are handed out one at a time to the next free worker. Their gradients are moved to the devices that keep
/// their sums, and added up there in the order of the micro-batches, so a sum does not depend on the number of workers, nor on
/// which of them is faster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers {
    running: Vec<Running>,
    homes: Homes,
}

/// A worker with its copy of the model.
#[derive(Clone, Debug)]
struct Running {
    name: String,
    placement: Placement,
    /// `None` if the worker is on the device of the trained model, whose weights it shares.
    replica: Option<Decoder>,
    /// The original model of a distillation, once it has been moved.
    original: Arc<OnceLock<Decoder>>,
    /// The worker's share of the threads of this machine; `None` for all.
    threads: Option<Arc<ThreadPool>>,
}

/// The micro-batches of a step, handed out one at a time in order, each only if the gradients of earlier ones do not pile up.
struct Queue<'a, T> {
    items: &'a [T],
    next: AtomicUsize,
    /// Has a message for every item that may be begun.
    allowed: Mutex<mpsc::Receiver<()>>,
}

impl<'a, T> Queue<'a, T> {
    /// The items for `n_workers` workers, and where to say that one more may be begun: whenever one has been added up.
    fn new(items: &'a [T], n_workers: usize) -> (Self, mpsc::Sender<()>) {
        let (allow, allowed) = mpsc::channel();
        for _ in 0..AHEAD * n_workers {
            let _ = allow.send(());
        }
        let queue = Self {
            items,
            next: AtomicUsize::new(0),
            allowed: Mutex::new(allowed),
        };
        (queue, allow)
    }

    /// The next item with its index, as soon as it may be begun; `None` if there is none.
    fn take(&self) -> Option<(usize, &'a T)> {
        self.allowed.lock().ok()?.recv().ok()?;
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Some((index, self.items.get(index)?))
    }

    /// Hands out nothing more.
    fn close(&self) {
        self.next.store(self.items.len(), Ordering::Relaxed);
    }
}

/// What is computed of a micro-batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) trained: Trained,
    pub(crate) recompute: Recompute,
}

impl Workers {
    /// Copies the model to every device that does not hold it.
    ///
    /// # Errors
    /// [`Error::Threads`] if threads cannot be started.
    pub(crate) fn new(workers: &[Worker], decoder: &mut Decoder, trained: Trained) -> Result<Self> {
        let is_on_cpu: Vec<bool> = workers.iter().map(|worker| worker.is_cpu).collect();
        let shares = thread_shares(&is_on_cpu, rayon::current_num_threads());
        let running = workers.iter().zip(shares).map(|(worker, share)| {
            let pool = share.map(|n| ThreadPoolBuilder::new().num_threads(n).build());
            let threads = pool.transpose().map_err(Error::Threads)?;
            let is_there = worker.placement == *decoder.placement();
            Ok(Running {
                name: worker.name.clone(),
                placement: worker.placement.clone(),
                replica: (!is_there).then(|| decoder.placed_on(&worker.placement)),
                original: Arc::default(),
                threads: threads.map(Arc::new),
            })
        });
        let running = running.collect::<Result<Vec<_>>>()?;
        // A CPU is slow with what a GPU should keep, and the other way round.
        let copies = running.iter().zip(workers);
        let copies = copies.filter(|(_, worker)| worker.is_cpu == workers[0].is_cpu);
        let copies: Vec<&Decoder> = copies.filter_map(|(own, _)| own.replica.as_ref()).collect();
        let homes = Homes::spread(decoder, trained, &copies);
        Ok(Self { running, homes })
    }

    /// Computes loss and gradients of every micro-batch, and adds them up in order.
    ///
    /// # Errors
    /// The first error of a worker; the other workers finish what they have begun.
    pub(crate) fn compute(
        &self,
        decoder: &Decoder,
        batches: &[MicroBatch],
        goal: Goal,
    ) -> Result<StepSums> {
        let mut sums = StepSums::default();
        if self.running.len() < 2 {
            for batch in batches {
                let before = std::mem::take(&mut sums.gradients);
                sums.add(batch, gradients(decoder, before, batch, goal)?);
            }
            return Ok(sums);
        }
        let (queue, allow) = Queue::new(batches, self.running.len());
        std::thread::scope(|scope| {
            // Dropped when nothing more is added up, so that no worker waits for that.
            let mut allow = Some(allow);
            let (done, results) = mpsc::channel();
            for worker in &self.running {
                let (done, queue) = (done.clone(), &queue);
                scope.spawn(move || {
                    while let Some((index, batch)) = queue.take() {
                        let result = worker.run(decoder, batch, goal, &self.homes);
                        let failed = result.is_err();
                        if done.send((index, result)).is_err() || failed {
                            break;
                        }
                    }
                });
            }
            drop(done);
            let (mut waiting, mut due, mut failure) = (BTreeMap::new(), 0, None);
            for (index, result) in results {
                match result {
                    Ok(part) => {
                        waiting.insert(index, part);
                    }
                    Err(error) => {
                        queue.close();
                        allow = None;
                        failure.get_or_insert(error);
                    }
                }
                while let Some(part) = waiting.remove(&due) {
                    sums.add(&batches[due], part);
                    due += 1;
                    if let Some(allow) = &allow {
                        let _ = allow.send(());
                    }
                }
            }
            failure.map_or(Ok(sums), Err)
        })
    }

    /// Gives all copies the trained weights of `decoder`.
    pub(crate) fn update(&mut self, decoder: &mut Decoder, trained: Trained) {
        for replica in self
            .running
            .iter_mut()
            .filter_map(|worker| worker.replica.as_mut())
        {
            replica.copy_trained(decoder, trained);
        }
    }
}

impl Running {
    /// Loss and gradients of a micro-batch, on the devices that keep them.
    fn run(
        &self,
        decoder: &Decoder,
        batch: &MicroBatch,
        goal: Goal,
        homes: &Homes,
    ) -> Result<LossGradients> {
        let compute = || -> Result<LossGradients> {
            let before = Gradients::default();
            let mut part = match &self.replica {
                Some(replica) => gradients(replica, before, &self.moved(batch), goal)?,
                None => gradients(decoder, before, batch, goal)?,
            };
            part.gradients = homes.gather(part.gradients);
            Ok(part)
        };
        let guarded = || catch_unwind(AssertUnwindSafe(compute));
        let result = match &self.threads {
            Some(threads) => threads.install(guarded),
            None => guarded(),
        };
        result.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Error::DeviceFailed {
                device: self.name.clone(),
                message: message.unwrap_or("it gave no reason").to_owned(),
            })
        })
    }

    /// The micro-batch with everything that lies on a device moved to that of the worker.
    fn moved(&self, batch: &MicroBatch) -> MicroBatch {
        let teacher = batch.teacher.as_ref().map(|teacher| {
            let original = || teacher.decoder.placed_on(&self.placement);
            Arc::new(Teacher {
                decoder: self.original.get_or_init(original).clone(),
                rotary: teacher.rotary.to_device(self.placement.first()),
                ..Teacher::clone(teacher)
            })
        });
        MicroBatch {
            batch: batch.batch.clone(),
            rotary: batch.rotary.to_device(self.placement.first()),
            teacher,
        }
    }
}

/// Loss and gradients of a micro-batch, the gradients added to those before.
fn gradients(
    decoder: &Decoder,
    before: Gradients,
    micro_batch: &MicroBatch,
    goal: Goal,
) -> Result<LossGradients> {
    let MicroBatch {
        batch,
        rotary,
        teacher,
    } = micro_batch;
    let Goal { trained, recompute } = goal;
    let teacher = teacher.as_deref();
    Ok(decoder.add_gradients(before, batch, teacher, rotary, trained, recompute)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_workers_do_not_get_far_ahead_of_what_has_been_added_up() {
        let items = ["a", "b", "c", "d"];
        let (queue, allow) = Queue::new(&items, 1);
        assert_eq!(queue.take(), Some((0, &"a")));
        assert_eq!(queue.take(), Some((1, &"b")));
        // Nothing has been added up, so a third one has to wait until one is.
        assert!(queue.allowed.lock().unwrap().try_recv().is_err());
        std::thread::scope(|scope| {
            let third = scope.spawn(|| queue.take());
            allow.send(()).unwrap();
            assert_eq!(third.join().unwrap(), Some((2, &"c")));
        });
        // Nobody waits for what will never be added up.
        drop(allow);
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn a_closed_queue_is_empty() {
        let items = [1, 2, 3];
        let (queue, _allow) = Queue::new(&items, 1);
        queue.close();
        assert_eq!(queue.take(), None);
    }
}
