//! Colours, dashes and fonts.

use rrd::ops::graph::{
    Color,
    elements::{DashSpacing, Dashes},
    props::{ColorTag, FontParams, FontTag, Misc},
};

use crate::chart::{
    name::Size,
    request::{MarkKind, Reason, Theme},
};

/// Sizes of a legend's text, in points, and the height of a line in pixels, which librrd makes 1.8 times that.
pub(crate) const LEGEND_POINTS: u32 = 8;
/// See [`LEGEND_POINTS`].
pub(crate) const LEGEND_LINE_PX: f64 = 14.4;

/// Colours that people who see few colours can still tell apart by their lightness, on dark and on light ground.
const DARK: [u32; 8] = [0x56b4e9, 0xe69f00, 0x2fc48d, 0xf0e442, 0xdd6fa8, 0xff7f50, 0xb0b7ff, 0xd0d0d0];
const LIGHT: [u32; 8] = [0x0072b2, 0xb35900, 0x00795a, 0x8a7a00, 0xa8437e, 0xc22d10, 0x4b4bb8, 0x4d4d4d];

/// The colour of the line at `index`.
pub(crate) fn line(theme: Theme, index: usize) -> Color {
    rgb(match theme {
        Theme::Dark => DARK[index % DARK.len()],
        Theme::Light => LIGHT[index % LIGHT.len()],
    })
}

/// The dashes of the line at `index`: neighbours differ also without colour, and so do lines of the same colour.
pub(crate) fn dashes(index: usize) -> Option<Dashes> {
    let spacing = match (index + index / DARK.len()) % 4 {
        0 => return None,
        1 => vec![(6, 2)],
        2 => vec![(2, 2)],
        _ => vec![(9, 2), (2, 2)],
    };
    Some(Dashes { spacing: Some(DashSpacing::Custom(spacing)), offset: None })
}

/// The colour of the line of all together.
pub(crate) fn total(theme: Theme) -> Color {
    rgb(match theme {
        Theme::Dark => 0xffffff,
        Theme::Light => 0x000000,
    })
}

/// The colour of the ground.
pub(crate) fn ground(theme: Theme) -> Color {
    rgb(match theme {
        Theme::Dark => 0x12161c,
        Theme::Light => 0xffffff,
    })
}

/// The shade of a band.
pub(crate) fn band(reason: Reason) -> Color {
    let color = rgb(match reason {
        Reason::InstanceDown => 0xd0312d,
        Reason::MonitorDown => 0x808890,
        Reason::ClockJumped => 0x8e44ad,
    });
    Color { alpha: Some(0x70), ..color }
}

/// The line of a mark, and its dashes.
pub(crate) fn mark(theme: Theme, kind: MarkKind) -> (Color, Dashes) {
    let (color, on) = match (kind, theme) {
        (MarkKind::Start, Theme::Dark) => (0x7ee787, 1),
        (MarkKind::Start, Theme::Light) => (0x1a7f37, 1),
        (MarkKind::Stop, Theme::Dark) => (0xff9492, 5),
        (MarkKind::Stop, Theme::Light) => (0xcf222e, 5),
    };
    (rgb(color), Dashes { spacing: Some(DashSpacing::Custom(vec![(on, 2)])), offset: None })
}

/// Frame, grid, text.
pub(crate) fn props(theme: Theme, size: Size) -> Misc {
    let (back, font, grid, major) = match theme {
        Theme::Dark => (0x1c2128, 0xd7dde4, 0x3a424c, 0x59636f),
        Theme::Light => (0xf6f8fa, 0x24292f, 0xe3e6ea, 0xc3c9d0),
    };
    let colors = [
        (ColorTag::Back, rgb(back)),
        (ColorTag::Canvas, ground(theme)),
        (ColorTag::ShadeA, rgb(back)),
        (ColorTag::ShadeB, rgb(back)),
        (ColorTag::Grid, rgb(grid)),
        (ColorTag::MGrid, rgb(major)),
        (ColorTag::Font, rgb(font)),
        (ColorTag::Axis, rgb(font)),
        (ColorTag::Frame, rgb(back)),
        (ColorTag::Arrow, rgb(font)),
    ];
    let font = |points, family: &str| FontParams { size: points, font: Some(family.into()) };
    let title = if size == Size::S { 8 } else { 10 };
    // Not `Default`: it sets all of them, and these are given in no order.
    let fonts = [
        (FontTag::Title, font(title, "DejaVu Sans")),
        (FontTag::Axis, font(7, "DejaVu Sans")),
        (FontTag::Unit, font(7, "DejaVu Sans")),
        (FontTag::Legend, font(LEGEND_POINTS, "DejaVu Sans Mono")),
        (FontTag::Watermark, font(5, "DejaVu Sans")),
    ];
    // A dashed grid takes a third of the time of a drawing, and is no better to read.
    let grid_dash = Some((1, 0));
    Misc {
        colors: colors.into(),
        fonts: fonts.into(),
        border: Some(0),
        slope_mode: true,
        grid_dash,
        ..Misc::default()
    }
}

fn rgb(color: u32) -> Color {
    let [_, red, green, blue] = color.to_be_bytes();
    Color { red, green, blue, alpha: None }
}
