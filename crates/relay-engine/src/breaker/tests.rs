use super::*;
use relay_event::ErrorFilter;

const FAST: Duration = Duration::from_secs(1);

fn breaker(consecutive: u32) -> (Arc<CircuitBreaker>, ErrorBus, HealthRegistry) {
    let (errors, health) = (ErrorBus::new(), HealthRegistry::default());
    let config = BreakerConfig {
        consecutive: Some(consecutive),
        open_for: FAST,
        ..default_breaker()
    };
    let component = Component::emitter("out");
    let breaker = CircuitBreaker::try_new(config, component, errors.clone(), health.clone());
    (breaker.unwrap(), errors, health)
}

async fn fail(breaker: &CircuitBreaker, times: u32) {
    for _ in 0..times {
        breaker.acquire().await.record(Outcome::Failure);
    }
}

#[tokio::test(start_paused = true)]
async fn each_transition_is_told_once_and_health_follows() {
    let (breaker, errors, health) = breaker(3);
    let mut told = errors.subscribe(ErrorFilter::all()).unwrap();
    let began = Instant::now();
    fail(&breaker, 3).await;
    assert!(matches!(health.all()[0].1, Health::Failed(_)));
    breaker.acquire().await.record(Outcome::Failure);
    assert_eq!(began.elapsed(), FAST, "the trial waited for the open time");
    breaker.acquire().await.record(Outcome::Success(FAST));
    assert_eq!(began.elapsed(), FAST * 3, "the open time has doubled");
    assert_eq!(breaker.status().state, BreakerState::Closed);
    assert_eq!(health.all()[0].1, Health::Healthy);
    let told: Vec<_> = std::iter::from_fn(|| told.try_recv())
        .map(|event| (event.code, event.severity, event.signal, event.recoverable))
        .collect();
    let half = (Code::BreakerHalf, Severity::Info, Signal::BreakerHalf, true);
    assert_eq!(
        told,
        [
            (
                Code::BreakerOpen,
                Severity::Critical,
                Signal::BreakerOpen,
                true
            ),
            half,
            (
                Code::BreakerOpen,
                Severity::Warning,
                Signal::BreakerOpen,
                true
            ),
            half,
            (
                Code::BreakerClose,
                Severity::Info,
                Signal::BreakerClose,
                true
            ),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_opening_says_how_many_failures_and_why() {
    let (breaker, errors, _) = breaker(2);
    let mut told = errors.subscribe(ErrorFilter::all()).unwrap();
    fail(&breaker, 2).await;
    assert_eq!(
        told.try_recv().unwrap().to_string(),
        "BREAKER_OPEN emitter:out: a circuit breaker opened (failures=2, trip=consecutive, open_seconds=1.000)"
    );
}

#[tokio::test(start_paused = true)]
async fn one_trial_at_a_time_and_the_others_hear_of_its_end() {
    let (breaker, ..) = breaker(1);
    fail(&breaker, 1).await;
    let trial = breaker.acquire().await;
    let waiting = tokio::time::timeout(FAST, breaker.acquire()).await;
    assert!(waiting.is_err(), "one trial at a time");
    let other = async {
        breaker.acquire().await.record(Outcome::Success(FAST));
    };
    let given_back = async {
        tokio::time::sleep(FAST).await;
        drop(trial);
    };
    // A trial that says nothing neither heals nor blocks.
    tokio::join!(other, given_back);
    assert_eq!(breaker.status().state, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn forced_open_it_stays_until_it_is_reset() {
    let (breaker, errors, health) = breaker(1);
    breaker.force_open();
    let hour = Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, breaker.acquire()).await.is_err());
    assert!(
        tokio::time::timeout(hour, breaker.not_open())
            .await
            .is_err()
    );
    let reset = async {
        tokio::time::sleep(FAST).await;
        breaker.reset();
    };
    let (permit, ()) = tokio::join!(breaker.acquire(), reset);
    drop(permit);
    assert_eq!(errors.count(Code::BreakerOpen), 1);
    assert_eq!(errors.count(Code::BreakerHalf), 0);
    assert_eq!(health.all()[0].1, Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn whoever_only_waits_takes_no_place() {
    let (breaker, ..) = breaker(1);
    breaker.not_open().await;
    fail(&breaker, 1).await;
    let began = Instant::now();
    breaker.not_open().await;
    assert_eq!(began.elapsed(), FAST);
    breaker.not_open().await;
    breaker.acquire().await.record(Outcome::Success(FAST));
    assert_eq!(breaker.status().state, BreakerState::Closed);
}
