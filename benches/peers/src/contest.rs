//! Turns: everybody answers the same requests in each round, one contestant right after the other.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use gateless_bench::quartiles;
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

/// How many requests somebody answers in one turn. Who is slow gets fewer, so that a round does not take for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    Many = 400,
    Few = 40,
}

/// What is taken off what a contestant takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Nothing: it is no service.
    None,
    /// The contestant of this name, which is the service alone.
    Of(&'static str),
}

type Run<T> = Box<dyn FnMut(&Runtime, &[T]) -> Duration>;

/// Somebody who takes part, with tokens or callers.
pub(crate) struct Contestant<T> {
    pub(crate) name: &'static str,
    pub(crate) floor: Floor,
    pub(crate) turn: Turn,
    run: Run<T>,
}

impl<T: 'static> Contestant<T> {
    /// A service, which is asked with the requests that `request` makes of these. Making them is not timed; that they are
    /// dropped is.
    pub(crate) fn service<S, Q, B>(
        name: &'static str,
        floor: Floor,
        turn: Turn,
        mut service: S,
        request: fn(&T) -> Request<Q>,
    ) -> Self
    where
        S: Service<Request<Q>, Response = Response<B>, Error = Infallible> + 'static,
        Q: 'static,
    {
        let run = move |runtime: &Runtime, samples: &[T]| {
            let requests: Vec<_> = samples.iter().map(request).collect();
            runtime.block_on(async {
                let start = Instant::now();
                for request in requests {
                    let status = status(&mut service, request).await;
                    assert_eq!(status, StatusCode::OK);
                }
                start.elapsed()
            })
        };
        Self {
            name,
            floor,
            turn,
            run: Box::new(run),
        }
    }

    /// Something that is no service.
    pub(crate) fn work(
        name: &'static str,
        turn: Turn,
        mut work: impl FnMut(&T) -> bool + 'static,
    ) -> Self {
        let run = move |_: &Runtime, samples: &[T]| {
            let start = Instant::now();
            for sample in samples {
                assert!(black_box(work(sample)));
            }
            start.elapsed()
        };
        Self {
            name,
            floor: Floor::None,
            turn,
            run: Box::new(run),
        }
    }

    /// Does this before each turn, which is not timed.
    pub(crate) fn preceded(mut self, mut prepare: impl FnMut() + 'static) -> Self {
        let mut run = self.run;
        self.run = Box::new(move |runtime, samples| {
            prepare();
            run(runtime, samples)
        });
        self
    }
}

/// What a service answers. The instance that was asked whether it is ready is the one that is called; nothing is cloned
/// for it, though servers do that.
pub(crate) async fn status<S, Q, B>(service: &mut S, request: Request<Q>) -> StatusCode
where
    S: Service<Request<Q>, Response = Response<B>, Error = Infallible>,
{
    let Ok(ready) = service.ready().await;
    let Ok(response) = ready.call(request).await;
    response.status()
}

/// Nanoseconds a request for each contestant, in each round.
pub(crate) struct Rounds {
    names: Vec<(&'static str, Floor)>,
    times: Vec<Vec<f64>>,
}

impl Rounds {
    /// Lets them all take turns, beginning with another one in each round.
    pub(crate) fn run<T>(
        runtime: &Runtime,
        contestants: &mut [Contestant<T>],
        samples: &[T],
        rounds: usize,
    ) -> Self {
        let mut times = vec![Vec::with_capacity(rounds); contestants.len()];
        let longest = Turn::Many as usize;
        for round in 0..rounds {
            let turns = samples.len() / longest;
            let from = round % turns.max(1) * longest;
            let mut order: Vec<_> = contestants.iter_mut().zip(&mut times).collect();
            let first = round % order.len();
            order.rotate_left(first);
            if round % 2 == 1 {
                order.reverse();
            }
            for (contestant, times) in order {
                let samples = samples.get(from..).unwrap_or(samples);
                let samples = samples.get(..contestant.turn as usize).unwrap_or(samples);
                let taken = (contestant.run)(runtime, samples);
                times.push(taken.as_nanos() as f64 / samples.len() as f64);
            }
        }
        let names = contestants.iter();
        Self {
            names: names.map(|it| (it.name, it.floor)).collect(),
            times,
        }
    }

    /// What `name` took in each round, less the service alone in the same round.
    pub(crate) fn net(&self, name: &str) -> Vec<f64> {
        let floor = self.names.iter().find(|(of, _)| *of == name);
        match floor.expect("it takes part").1 {
            Floor::None => self.gross(name).to_vec(),
            Floor::Of(floor) => {
                let pairs = self.gross(name).iter().zip(self.gross(floor));
                pairs.map(|(all, floor)| all - floor).collect()
            }
        }
    }

    /// What `name` took in each round.
    pub(crate) fn gross(&self, name: &str) -> &[f64] {
        let place = self.names.iter().position(|(of, _)| *of == name);
        let place = place.expect("it takes part");
        self.times.get(place).expect("all were timed")
    }

    /// One row for each: gross, net, and how many times as long as `base` it took, net.
    pub(crate) fn print(&self, what: &str, base: &str) {
        let base = self.net(base);
        for (name, floor) in &self.names {
            let net = self.net(name);
            let [_, gross, _] = quartiles(self.gross(name).to_vec());
            let [_, middle, _] = quartiles(net.clone());
            let ratios = net.iter().zip(&base).map(|(net, base)| net / base);
            let [lower, ratio, upper] = quartiles(ratios.collect());
            let is_floor = self.names.iter().any(|(_, of)| *of == Floor::Of(name));
            if is_floor && *floor == Floor::None {
                println!("| {what} | {name} | {gross:.0} | | | |");
            } else {
                println!(
                    "| {what} | {name} | {gross:.0} | {middle:.0} | {ratio:.2} | {lower:.2} to {upper:.2} |"
                );
            }
        }
    }
}
