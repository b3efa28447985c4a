use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use super::*;

type Numbers = Pool<u32, u32, String>;

fn quiet(_: &CallStatus) {}

/// A worker that squares numbers and panics after `n_jobs` jobs.
fn squarer(pool: &mut Numbers, name: &str, n_jobs: usize) {
    let name = name.to_owned();
    pool.hire(name, None, move |inbox| {
        let mut n_left = n_jobs;
        inbox.answer(|job| {
            assert!(n_left > 0, "out of memory");
            n_left -= 1;
            Ok(job * job)
        });
    })
    .expect("a thread");
}

fn run(pool: &mut Numbers, n: u32) -> Result<Vec<u32>, PoolError<String>> {
    let answers = pool.run((0..n).collect(), &Interrupt::default(), &mut quiet)?;
    Ok(answers.into_iter().map(|answer| answer.value).collect())
}

fn squares(n: u32) -> Vec<u32> {
    (0..n).map(|i| i * i).collect()
}

#[test]
fn answers_come_in_the_order_of_the_jobs() {
    for n_workers in 1..=4 {
        let mut pool = Pool::new();
        for _ in 0..n_workers {
            pool.hire("sleepy".to_owned(), None, |inbox| {
                inbox.answer(|job: &u32| {
                    // The first jobs take longest.
                    std::thread::sleep(Duration::from_millis(u64::from(
                        20_u32.saturating_sub(*job),
                    )));
                    Ok::<_, String>(job * job)
                });
            })
            .unwrap();
        }
        assert_eq!(run(&mut pool, 24).unwrap(), squares(24));
        assert_eq!(run(&mut pool, 3).unwrap(), squares(3));
        assert_eq!(run(&mut pool, 0).unwrap(), [0; 0]);
        let n_answered: usize = pool.status().iter().map(|worker| worker.n_answered).sum();
        assert_eq!(n_answered, 27);
    }
}

#[test]
fn jobs_run_in_parallel() {
    // Each of the two first jobs ends only when both are under way.
    let barrier = Arc::new(Barrier::new(2));
    let mut pool = Pool::new();
    for name in ["a", "b"] {
        let barrier = Arc::clone(&barrier);
        pool.hire(name.to_owned(), None, move |inbox| {
            inbox.answer(|job: &u32| {
                if *job < 2 {
                    barrier.wait();
                }
                Ok::<_, String>(job * job)
            });
        })
        .unwrap();
    }
    assert_eq!(run(&mut pool, 8).unwrap(), squares(8));
}

#[test]
fn the_jobs_of_workers_that_fail_go_to_others() {
    for (first, second) in [(0, 100), (3, 100), (100, 5), (0, 8)] {
        let mut pool = Pool::new();
        squarer(&mut pool, "first", first);
        squarer(&mut pool, "second", second);
        assert_eq!(run(&mut pool, 8).unwrap(), squares(8));
    }
}

#[test]
fn a_worker_that_failed_gets_no_more_jobs() {
    let mut pool = Pool::new();
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    pool.hire("broken".to_owned(), None, move |inbox| {
        inbox.answer(|_: &u32| {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("the device is {}", "gone")
        });
    })
    .unwrap();
    squarer(&mut pool, "sound", 100);
    for n in [5, 6] {
        assert_eq!(run(&mut pool, n).unwrap(), squares(n));
    }
    assert_eq!(started.load(Ordering::SeqCst), 1);
    let status = pool.status();
    let reason = "the device is gone".to_owned();
    assert_eq!(status[0].state, WorkerState::Retired(reason));
    assert_eq!(status[1].n_answered, 11);
}

#[test]
fn a_pool_without_workers_says_why_the_last_one_failed() {
    let mut pool = Pool::new();
    squarer(&mut pool, "first", 1);
    squarer(&mut pool, "second", 2);
    let error = run(&mut pool, 8).unwrap_err().to_string();
    assert!(error.contains("no device is left"), "{error}");
    assert!(error.contains("out of memory"), "{error}");
    assert!(matches!(
        run(&mut pool, 1),
        Err(PoolError::NobodyLeft { .. })
    ));
}

#[test]
fn a_refused_job_ends_the_call_and_costs_no_worker() {
    let mut pool = Pool::new();
    for name in ["a", "b"] {
        pool.hire(name.to_owned(), None, |inbox| {
            inbox.answer(|job: &u32| {
                if *job == 5 {
                    return Err("five".to_owned());
                }
                Ok(job * job)
            });
        })
        .unwrap();
    }
    assert!(matches!(run(&mut pool, 8), Err(PoolError::Refused(error)) if error == "five"));
    // Answers to jobs of the failed call are ignored.
    assert_eq!(run(&mut pool, 5).unwrap(), squares(5));
}

#[test]
fn the_job_of_a_silent_worker_is_done_by_another() {
    let mut pool = Pool::new();
    let (release, hold) = mpsc::channel::<()>();
    pool.hire("silent".to_owned(), None, move |inbox| {
        inbox.answer(|job: &u32| {
            let _ = hold.recv();
            Ok(job + 1000)
        });
    })
    .unwrap();
    squarer(&mut pool, "lively", 100);
    assert_eq!(run(&mut pool, 6).unwrap(), squares(6));
    assert_eq!(pool.status()[0].state, WorkerState::Working);
    // Its late answer belongs to a finished call.
    drop(release);
    assert_eq!(run(&mut pool, 6).unwrap().len(), 6);
    assert_eq!(run(&mut pool, 0).unwrap().len(), 0);
}

#[test]
fn a_job_can_be_given_to_every_worker() {
    let mut pool = Pool::new();
    for (name, addend) in [("exact", 0), ("rough", 1)] {
        pool.hire(name.to_owned(), None, move |inbox| {
            inbox.answer(|job: &u32| Ok::<_, String>(job * job + addend));
        })
        .unwrap();
    }
    squarer(&mut pool, "broken", 0);
    let answers = pool.ask_each(5, &Interrupt::default()).unwrap();
    assert_eq!(
        answers,
        [("exact".to_owned(), 25), ("rough".to_owned(), 26)]
    );
    assert!(matches!(pool.status()[2].state, WorkerState::Retired(_)));
}

#[test]
fn an_interruption_does_not_wait_for_workers() {
    let mut pool = Pool::new();
    let (_release, hold) = mpsc::channel::<()>();
    pool.hire("silent".to_owned(), None, move |inbox| {
        inbox.answer(|job: &u32| {
            let _ = hold.recv();
            Ok::<_, String>(*job)
        });
    })
    .unwrap();
    let interrupt = Interrupt::default();
    let mut n_ticks = 0;
    let outcome = pool.run(vec![1], &interrupt, &mut |status| {
        n_ticks += 1;
        assert_eq!(status.n_answered, 0);
        interrupt.request();
    });
    assert!(matches!(outcome, Err(PoolError::Interrupted(_))));
    assert_eq!(n_ticks, 1);
}

#[test]
fn parallel_loops_of_a_worker_run_on_its_own_threads() {
    let mut pool = Pool::new();
    pool.hire("narrow".to_owned(), Some(2), |inbox| {
        inbox.answer(|_: &u32| {
            let n_threads = rayon::current_num_threads();
            u32::try_from(n_threads).map_err(|error| error.to_string())
        });
    })
    .unwrap();
    assert_eq!(run(&mut pool, 2).unwrap(), [2, 2]);
}
