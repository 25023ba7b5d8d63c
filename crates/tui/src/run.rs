//! The loop that owns the terminal and the client: events go into the state, its effects are carried out, the screen is
//! drawn when something changed, at most so often.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as Input, EventStream, MouseButton, MouseEvent, MouseEventKind};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use sparrow_client::{Client, Events};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::effects::perform;
use crate::input::{Action, action};
use crate::state::effect::{Answer, Effect};
use crate::state::{Event, Me, State};
use crate::terminal::Screen;
use crate::view::{self, Theme};
use crate::{Error, Exit, Options};

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// The clock of what changes by itself: countdowns, notices, who types.
const TICK: Duration = Duration::from_secs(1);
/// Questions asked at once; further ones wait.
const AT_ONCE: usize = 8;

/// Shows the client's conversations full-screen until the user leaves, the device is logged out or the process is told
/// to end. Call it on the thread that `main` runs on. The client stays usable; closing it is the caller's.
///
/// # Errors
/// [`Error::Terminal`] if there is no terminal, or it fails; [`Error::Client`] if the local store cannot be read.
pub async fn run(client: Client, options: Options) -> Result<Exit, Error> {
    // Subscribed before anything is read, so that nothing falls between.
    let events = client.events();
    let known = Answer::Known { conversations: client.known_conversations().await?, outbox: client.outbox().await? };
    let me = Me {
        id: client.user_id(),
        name: client.user_name(),
        device: client.device_id(),
        server_url: options.server_url,
    };
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    let state = State::new(me, options.first, options.language, zone, now());
    let screen = Screen::enter(options.mouse)?;
    let mut session = Session {
        client,
        events,
        keys: EventStream::new(),
        state,
        screen,
        theme: Theme { colour: options.colour },
        tasks: JoinSet::new(),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    };
    session.run(known).await
}

struct Session {
    client: Client,
    events: Events,
    keys: EventStream,
    state: State,
    screen: Screen,
    theme: Theme,
    /// Questions on their way; they end with the session.
    tasks: JoinSet<Option<Answer>>,
    turns: Arc<Semaphore>,
}

/// What woke the loop.
enum Woken {
    Event(Event),
    Draw,
    Nothing,
    Ended(Result<Exit, Error>),
}

impl Session {
    async fn run(&mut self, known: Answer) -> Result<Exit, Error> {
        let (columns, rows) = crossterm::terminal::size()?;
        for event in [Event::Resize { columns, rows }, Event::Answer(Box::new(known))] {
            if let Some(exit) = self.take(event).await {
                return Ok(exit);
            }
        }
        let mut told_to_end = std::pin::pin!(told_to_end());
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut dirty = true;
        let mut next_frame = Instant::now();
        loop {
            if dirty && Instant::now() >= next_frame {
                self.draw()?;
                dirty = false;
                next_frame = Instant::now() + FRAME;
            }
            let woken = tokio::select! {
                biased;
                () = &mut told_to_end => Woken::Ended(Ok(Exit::Terminated)),
                woken = self.woken(&mut tick) => woken,
                () = sleep_until(next_frame), if dirty => Woken::Draw,
            };
            match woken {
                Woken::Ended(end) => return end,
                Woken::Draw | Woken::Nothing => {}
                Woken::Event(Event::Tick) if !self.state.needs_ticks() => {
                    if let Some(exit) = self.take(Event::Tick).await {
                        return Ok(exit);
                    }
                }
                Woken::Event(event) => {
                    dirty = true;
                    if let Some(exit) = self.take(event).await {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    /// Waits for the next thing to happen. Cancel-safe, as each of its branches is.
    async fn woken(&mut self, tick: &mut Interval) -> Woken {
        tokio::select! {
            biased;
            key = self.keys.next() => match key {
                Some(Ok(input)) => translate(input).map_or(Woken::Nothing, Woken::Event),
                Some(Err(error)) => Woken::Ended(Err(error.into())),
                // The terminal is gone.
                None => Woken::Ended(Ok(Exit::Terminated)),
            },
            Some(done) = self.tasks.join_next() => match done {
                Ok(answer) => answer.map_or(Woken::Nothing, |answer| Woken::Event(Event::Answer(Box::new(answer)))),
                Err(error) => {
                    tracing::error!(%error, "a question ended badly");
                    Woken::Nothing
                }
            },
            event = self.events.next() => match event {
                Some(event) => Woken::Event(Event::Client(Box::new(event))),
                None => Woken::Ended(Err(sparrow_client::Error::Closed.into())),
            },
            _ = tick.tick() => Woken::Event(Event::Tick),
        }
    }

    /// Gives an event to the state and does what it asks. An answer says that it is time to leave.
    async fn take(&mut self, event: Event) -> Option<Exit> {
        if let Event::Action(Action::Redraw) = event {
            // What other programs wrote onto the screen goes.
            drop(self.screen.terminal.clear());
        }
        let mut effects = self.state.update(now(), event);
        while !effects.is_empty() {
            let mut further = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Exit(exit) => return Some(exit),
                    // One after another: messages are sent in the order typed, and the id of each is known before
                    // anything is heard of it. Only the disk is waited for.
                    Effect::Send { .. } | Effect::Discard { .. } => {
                        if let Some(answer) = perform(&self.client, effect).await {
                            further.extend(self.state.update(now(), Event::Answer(Box::new(answer))));
                        }
                    }
                    effect => self.ask(effect),
                }
            }
            effects = further;
        }
        None
    }

    fn ask(&mut self, effect: Effect) {
        let (client, turns) = (self.client.clone(), Arc::clone(&self.turns));
        self.tasks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            perform(&client, effect).await
        });
    }

    fn draw(&mut self) -> Result<(), Error> {
        let (state, theme) = (&self.state, self.theme);
        self.screen.terminal.draw(|frame| view::draw(frame, state, theme))?;
        Ok(())
    }
}

fn translate(input: Input) -> Option<Event> {
    match input {
        Input::Key(key) => action(&key).map(Event::Action),
        Input::Paste(text) => Some(Event::Paste(text)),
        Input::Resize(columns, rows) => Some(Event::Resize { columns, rows }),
        Input::FocusGained => Some(Event::Focus(true)),
        Input::FocusLost => Some(Event::Focus(false)),
        Input::Mouse(MouseEvent { kind, column, row, .. }) => match kind {
            MouseEventKind::ScrollUp => Some(Event::Action(Action::RowsUp)),
            MouseEventKind::ScrollDown => Some(Event::Action(Action::RowsDown)),
            MouseEventKind::Down(MouseButton::Left) => Some(Event::Click { column, row }),
            _ => None,
        },
    }
}

/// Milliseconds since 1970 UTC by the machine's clock.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Returns when the process is told to end, by whatever signal. Without handlers it just waits: then a signal ends the
/// process in the default way.
#[cfg(unix)]
async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit()];
    let mut signals = JoinSet::new();
    for mut handler in kinds.into_iter().filter_map(|kind| signal(kind).ok()) {
        signals.spawn(async move { handler.recv().await });
    }
    if signals.join_next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Returns when the process is told to end.
#[cfg(not(unix))]
async fn told_to_end() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
