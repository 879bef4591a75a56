//! Names that somebody makes up, as many a second as can be, while real rooms are asked for at the same edge: how many
//! of those who ask for a room are refused, and how long they wait.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use stentor_ids::Code;
use stentor_proto::{
    fault_of,
    v1::{ListenRequest, listen_service_client::ListenServiceClient},
};
use stentor_tests::{
    beats::percentile,
    cluster::{Cluster, Shape},
    http,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tonic::transport::Channel;

use crate::fanout::cpu_over;

/// Real rooms, of which the first two are on the air and the others are scheduled.
const ROOMS: usize = 100;
const LIVE: usize = 2;
/// How often one of them is asked for.
const ASK: Duration = Duration::from_millis(10);
/// Connections of those who guess, and calls under way on each: what an edge takes.
const CONNECTIONS: usize = 32;
const CALLS: usize = 128;
/// How often guesses are sent.
const TICK: Duration = Duration::from_millis(10);

/// How often each answer came.
type Answers = BTreeMap<String, usize>;

pub(crate) async fn measure(rate: usize, seconds: usize) -> Result<()> {
    let cluster = Cluster::start(Shape::default()).await?;
    for room in 0..ROOMS {
        let name = format!("real-{room}");
        if room < LIVE {
            cluster.live_room(&name).await?;
        } else {
            cluster.ctl(&["room", "create", &name]).await?;
        }
    }
    let length = Duration::from_secs(seconds as u64);
    let mut guessers = JoinSet::new();
    for number in 0..CONNECTIONS {
        guessers.spawn(guess(cluster.channel(0).await?, number, rate, length));
    }
    let (asked, edge) =
        tokio::join!(ask(cluster.edge_port(0), length), cpu_over(cluster.edge(0).usage(), length));
    let (answers, mut waits) = asked?;
    let mut guesses = Answers::new();
    for (answer, count) in guessers.join_all().await.into_iter().flatten() {
        *guesses.entry(answer).or_default() += count;
    }
    waits.sort();
    let reached = guesses.values().sum::<usize>() as f64 / length.as_secs_f64();
    println!(
        "{rate} made-up names a second wanted, {reached:.0} reached, over {CONNECTIONS} connections, for {seconds} s"
    );
    println!("answers to them: {guesses:?}");
    println!("the edge used {:.0} % of a core", edge? * 100.0);
    println!("answers to who asked for {ROOMS} rooms, {LIVE} of them live: {answers:?}");
    println!(
        "refused: {}",
        answers
            .iter()
            .filter(|(code, _)| !["200", "425"].contains(&code.as_str()))
            .map(|(_, count)| count)
            .sum::<usize>()
    );
    println!(
        "they waited {:?} (median), {:?} (p99), {:?} (worst)",
        percentile(&waits, 50),
        percentile(&waits, 99),
        percentile(&waits, 100)
    );
    Ok(())
}

/// Asks for one room after the other, as listeners do.
async fn ask(port: u16, length: Duration) -> Result<(Answers, Vec<Duration>)> {
    let (start, mut tick, mut asks) = (Instant::now(), interval(ASK), JoinSet::new());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for room in (0..ROOMS).cycle() {
        if start.elapsed() >= length {
            break;
        }
        tick.tick().await;
        asks.spawn(async move {
            let asked = Instant::now();
            let request = format!("HEAD /v1/rooms/real-{room}/live.ogg HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = http::request(port, &request).await;
            (
                answer.map_or_else(|error| error.to_string(), |answer| answer.status.to_string()),
                asked.elapsed(),
            )
        });
    }
    let (mut answers, mut waits) = (Answers::new(), Vec::new());
    for (answer, wait) in asks.join_all().await {
        *answers.entry(answer).or_default() += 1;
        waits.push(wait);
    }
    Ok((answers, waits))
}

/// One connection's part of the guesses, as far as its calls under way allow.
async fn guess(channel: Channel, number: usize, rate: usize, length: Duration) -> Answers {
    let (start, mut tick, mut calls) = (Instant::now(), interval(TICK), JoinSet::new());
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut answers, mut sent) = (Answers::new(), 0_usize);
    while start.elapsed() < length {
        tick.tick().await;
        while let Some(answered) = calls.try_join_next() {
            count(&mut answers, answered);
        }
        let due = (start.elapsed().as_secs_f64() * rate as f64) as usize / CONNECTIONS;
        while sent < due && calls.len() < CALLS {
            let mut client = ListenServiceClient::new(channel.clone());
            let request = ListenRequest { room: format!("guess-{number}-{sent}"), unbuffered: false };
            calls.spawn(async move {
                client.listen(request).await.map_err(|status| fault_of(&status).code).err()
            });
            sent += 1;
        }
        // What could not be sent is not made up for.
        sent = due;
    }
    while let Some(answered) = calls.join_next().await {
        count(&mut answers, answered);
    }
    answers
}

fn count(answers: &mut Answers, answered: Result<Option<Code>, tokio::task::JoinError>) {
    let answer = answered.ok().flatten().map_or("let in", |code| code.as_str());
    *answers.entry(answer.to_owned()).or_default() += 1;
}
