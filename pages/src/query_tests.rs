use proptest::prelude::*;

use super::*;

#[test]
fn galleries() {
    assert_eq!(GalleryQuery::parse(""), Ok(GalleryQuery::default()));
    let query = GalleryQuery::parse("period=6h&size=l&peaks=both&worker=eu%2F8081&x=y").unwrap();
    assert_eq!((query.period, query.size, query.shown), (Period::Hours6, Size::L, Shown::Both));
    assert_eq!(query.scope, Scope::Worker("eu/8081".into()));
    assert_eq!(query.address(), "/charts?period=6h&size=l&peaks=both&worker=eu%2F8081");
    let of = GalleryQuery::parse("period=&of=server%3Aa%2Bb+c").unwrap();
    assert_eq!((of.period, of.scope), (Period::Hour, Scope::Server("a+b c".into())));
    let error = GalleryQuery::parse("period=2h").unwrap_err().to_string();
    assert_eq!(error, "period: \"2h\" is none of 1h, 3h, 6h, 12h, 1day, 3day, 7day, 1m");
    assert!(GalleryQuery::parse("of=all").is_err());
}

#[test]
fn pictures() {
    let query = PictureQuery::parse("theme=light&server=eu.example.net&v=7").unwrap();
    assert_eq!(query, PictureQuery { theme: Theme::Light, scope: Scope::Server("eu.example.net".into()) });
    assert!(PictureQuery::parse("theme=blue").is_err());
}

#[test]
fn logs() {
    let query =
        LogQuery::parse("worker=a&level=warning&text=%25+x&from=2026-11-22T19%3A03&to=2026-11-22&before=9")
            .unwrap();
    assert_eq!((query.least, query.text.as_deref()), (Some(Level::Warning), Some("% x")));
    assert_eq!(query.from.as_ref().map(|point| point.start_ms), Some(1_795_374_180_000));
    assert_eq!(query.to.as_ref().map(|point| point.end_ms), Some(1_795_392_000_000));
    let again = query.address();
    assert_eq!(LogQuery::parse(again.strip_prefix("/log?").unwrap()), Ok(query));
    assert_eq!(LogQuery::parse("worker=&level=&text=&from=&to="), Ok(LogQuery::default()));
    assert_eq!(LogQuery::default().address(), "/log");
    assert!(
        LogQuery::parse("from=soon")
            .unwrap_err()
            .to_string()
            .starts_with("from: \"soon\" is no time: expected")
    );
    assert!(LogQuery::parse(&format!("text={}", "a".repeat(301))).is_err());
}

proptest! {
    #[test]
    fn addresses_come_back(worker in "\\PC{1,40}", text in "\\PC{1,40}", before in "[0-9]{1,9}") {
        let query = LogQuery { worker: Some(worker.clone()), text: Some(text), before: Some(before), ..LogQuery::default() };
        prop_assert_eq!(LogQuery::parse(query.address().strip_prefix("/log?").unwrap()), Ok(query));
        let gallery = GalleryQuery { scope: Scope::Worker(worker), ..GalleryQuery::default() };
        prop_assert_eq!(GalleryQuery::parse(gallery.address().strip_prefix("/charts?").unwrap()), Ok(gallery.clone()));
        let of = format!("of={}", url::encode(&gallery.scope.option()));
        prop_assert_eq!(GalleryQuery::parse(&of), Ok(gallery));
    }

    #[test]
    fn nothing_breaks_it(raw in "\\PC{0,60}|(of|from|to|theme|level)=[%+&=a-z0-9:]{0,30}") {
        let _ = (GalleryQuery::parse(&raw), PictureQuery::parse(&raw), LogQuery::parse(&raw));
    }
}
