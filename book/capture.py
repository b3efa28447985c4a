"""Draws an SVG picture of a program that runs in a terminal.

    pip install pyte
    python book/capture.py OUT.svg --until 'generation 12 of' -- longrope search ... --dashboard on

The script runs the command in its own terminal, waits until the text is on the screen, waits `--more` seconds longer, draws the
screen, and presses `q`.
"""

import argparse
import fcntl
import html
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte

COLUMNS, ROWS = 124, 36
WIDTH, HEIGHT = 8.4, 18
BACKGROUND, FOREGROUND = "#1c1c22", "#d8d8dc"
# Names as in pyte; the palette is that of the figures.
COLORS = {
    "black": "#000000",
    "red": "#d55e00",
    "green": "#2bb583",
    "brown": "#e69f00",
    "blue": "#4aa3e0",
    "magenta": "#d98bb5",
    "cyan": "#7cc7f0",
    "white": "#d8d8dc",
    "brightblack": "#85858c",
    "brightred": "#ff7f2a",
    "default": FOREGROUND,
}


def color(name, default):
    if name == "default":
        return default
    return COLORS.get(name, f"#{name}" if len(name) == 6 else FOREGROUND)


def style(cell):
    front, back = color(cell.fg, FOREGROUND), color(cell.bg, BACKGROUND)
    return (back, front, cell.bold) if cell.reverse else (front, back, cell.bold)


def runs(line):
    """Runs of neighbouring cells with one style: first column, text, style."""
    start, text, current = 0, "", style(line[0])
    for column in range(COLUMNS):
        found = style(line[column])
        if found != current:
            yield start, text, current
            start, text, current = column, "", found
        text += line[column].data
    yield start, text, current


def svg(screen):
    width, height = COLUMNS * WIDTH + 20, ROWS * HEIGHT + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{BACKGROUND}"/>',
    ]
    for row in range(ROWS):
        y = 10 + row * HEIGHT
        for start, text, (front, back, bold) in runs(screen.buffer[row]):
            x, length = 10 + start * WIDTH, len(text) * WIDTH
            if back != BACKGROUND:
                out.append(f'<rect x="{x:g}" y="{y:g}" width="{length:g}" height="{HEIGHT}" fill="{back}"/>')
            if text.strip():
                weight = ' font-weight="bold"' if bold else ""
                out.append(
                    f'<text x="{x:g}" y="{y + 14:g}" textLength="{length:g}" xml:space="preserve" '
                    f'fill="{front}"{weight}>{html.escape(text)}</text>'
                )
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--until", required=True)
    parser.add_argument("--more", type=float, default=1.0)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(args.command[0], args.command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    drawn, seen_at, asked_at, after = None, None, 0.0, b""
    while True:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            if drawn:
                after += data
            else:
                stream.feed(data)
        if drawn is None and seen_at is None and any(args.until in line for line in screen.display):
            seen_at = time.monotonic()
        if drawn is None and seen_at and time.monotonic() - seen_at > args.more:
            drawn = svg(screen)
            print("\n".join(screen.display))
            os.write(terminal, b"q")
            asked_at = time.monotonic()
        # Burn's dashboard asks for confirmation when `q` is pressed.
        if drawn and time.monotonic() - asked_at > 5:
            os.kill(child, signal.SIGINT)
            asked_at = float("inf")
    _, status = os.waitpid(child, 0)
    sys.stdout.flush()
    print(after.decode(errors="replace")[-600:])
    print("exit code", os.waitstatus_to_exitcode(status))
    if drawn is None:
        sys.exit(f"`{args.until}` was never on the screen:\n" + "\n".join(screen.display))
    with open(args.out, "w") as file:
        file.write(drawn)


main()
