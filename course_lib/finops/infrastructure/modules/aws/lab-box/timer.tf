# The first line of user data counts the minutes until the end when the box has booted, and powers it off then, which
# terminates it. It is the same text that course_lib.finops.ephemeral writes. The shell needs the end in seconds since
# 1970, and Terraform has no function for that: the days of the Gregorian calendar, counted from 1 March of the year 0, so
# that the leap day comes last.
locals {
  date  = [for part in split("-", formatdate("YYYY-M-D", local.expires_at)) : tonumber(part)]
  clock = [for part in split("-", formatdate("h-m-s", local.expires_at)) : tonumber(part)]
  year  = local.date[1] > 2 ? local.date[0] : local.date[0] - 1
  month = (local.date[1] + 9) % 12
  days = sum([
    365 * local.year, floor(local.year / 4), -floor(local.year / 100), floor(local.year / 400),
    floor((153 * local.month + 2) / 5), local.date[2] - 1, -719468
  ])
  epoch     = 86400 * local.days + 3600 * local.clock[0] + 60 * local.clock[1] + local.clock[2]
  user_data = "#!/bin/bash\nshutdown -P +$(( (${local.epoch} - $(date +%s)) / 60 ))\n${var.script}"
}
