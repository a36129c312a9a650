"""Shutdowns set in user data. Oracle: what shutdown(8), cloud-init and the EC2 guide say, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from course_lib.finops.cloud.guests import shutdown_delay

START = datetime(2026, 12, 1, 22, 30, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(
    ("script", "delay"),
    [
        pytest.param("#!/bin/bash\nshutdown -h +30\n", HALF_AN_HOUR, id="the usual line"),
        pytest.param("#!/bin/bash\nshutdown -P +30 'time is up'\n", HALF_AN_HOUR, id="with a message"),
        pytest.param("#!/bin/bash\nsudo /sbin/shutdown +30\n", HALF_AN_HOUR, id="with sudo and a path"),
        pytest.param("#!/bin/bash\nshutdown 30\n", HALF_AN_HOUR, id="minutes without plus"),
        pytest.param(
            f"#!/bin/bash\nshutdown -P +$(( ({int(START.timestamp()) + 1830} - $(date +%s)) / 60 ))\n",
            HALF_AN_HOUR,
            id="counted by the shell",
        ),
        pytest.param("#!/bin/bash\nshutdown -P +$(( (1000 - $(date +%s)) / 60 ))\n", timedelta(), id="counted, over"),
        pytest.param("#!/bin/bash\nshutdown\n", timedelta(minutes=1), id="without a time it is one minute"),
        pytest.param("#!/bin/bash\nshutdown now\n", timedelta(), id="now"),
        pytest.param("#!/bin/bash\nshutdown 23:00\n", HALF_AN_HOUR, id="a time of day"),
        pytest.param("#!/bin/bash\nshutdown 22:00\n", timedelta(hours=23, minutes=30), id="a time of day tomorrow"),
        pytest.param("#!/bin/bash\nshutdown +60\nshutdown +30\n", HALF_AN_HOUR, id="the last one counts"),
        pytest.param("#!/bin/bash\nshutdown +30\nshutdown -c\n", None, id="cancelled"),
        pytest.param("#!/bin/bash\nshutdown -r +30\n", None, id="a reboot doesn't end an instance"),
        pytest.param("#!/bin/bash\nshutdown -H +30\n", None, id="a halt doesn't power off"),
        pytest.param("#!/bin/bash\n# shutdown -h +30\n", None, id="a comment"),
        pytest.param("#!/bin/bash\necho shutdown -h +30\n", None, id="not the command"),
        pytest.param("#!/bin/bash\nshutdown -h 25:99\n", None, id="no time of day"),
        pytest.param("shutdown -h +30\n", None, id="without #! cloud-init runs nothing"),
        pytest.param("", None, id="nothing"),
        pytest.param(
            "#cloud-config\npower_state:\n  mode: poweroff\n  delay: '+30'\n", HALF_AN_HOUR, id="cloud-config"
        ),
        pytest.param("#cloud-config\npower_state:\n  mode: poweroff\n", timedelta(), id="cloud-config at once"),
        pytest.param("#cloud-config\npower_state: {mode: reboot, delay: '+30'}\n", None, id="cloud-config's reboot"),
        pytest.param("#cloud-config\n- [no, mapping\n", None, id="broken cloud-config"),
    ],
)
def test_what_a_boot_script_does(script, delay):
    assert shutdown_delay(script, START) == delay
