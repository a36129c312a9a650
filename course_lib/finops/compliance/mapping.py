"""Check → control → the part of it that the check touches; and for each touched control, what is left to people.

The mapping is small on purpose: a control stands here only where the check reads something that the control's own text
speaks of. What a setting can't show (a decision, a procedure, a person's doing) is in `PEOPLE`.
"""

from __future__ import annotations

AT_REST = {
    "FedRAMP": {"SC-28": "stored data are encrypted", "SC-28(1)": "the mechanism is cryptographic"},
    "HIPAA": {"164.312(a)(2)(iv)": "a mechanism that encrypts stored data is on"},
    "GDPR": {"5(1)(f)": "confidentiality of what is stored", "32(1)(a)": "stored data are encrypted"},
}
TRAIL = {
    "FedRAMP": {"AU-2": "API calls are among the logged events", "AU-12": "records are made in every region"},
    "HIPAA": {"164.312(b)": "a mechanism records API calls"},
    "GDPR": {"5(2)": "what was done can be shown later"},
}
ACCESS = {
    "FedRAMP": {"AC-3": "the setting that lets everybody in is off"},
    "HIPAA": {"164.312(a)(1)": "not everybody is let in"},
    "GDPR": {
        "5(1)(f)": "confidentiality of what is stored",
        "25(2)": "not open to everybody by default",
        "32(1)(b)": "confidentiality of what is stored",
    },
}

MAPPING: dict[str, dict[str, dict[str, str]]] = {
    "ebs-default": {**AT_REST, "GDPR": {**AT_REST["GDPR"], "25(2)": "encryption is the default"}},
    "volume-encryption": AT_REST,
    "snapshot-private": ACCESS,
    "bucket-encryption": AT_REST,
    "bucket-tls": {
        "FedRAMP": {"SC-8": "S3 takes requests over TLS only", "SC-8(1)": "the mechanism is cryptographic"},
        "HIPAA": {
            "164.312(e)(1)": "requests to S3 can't be read on the way",
            "164.312(e)(2)(i)": "TLS finds changes on the way",
            "164.312(e)(2)(ii)": "requests to S3 are encrypted on the way",
        },
        "GDPR": {"32(1)(a)": "data on the way to and from S3 are encrypted"},
    },
    "trail-everywhere": TRAIL,
    "trail-validated": {
        "FedRAMP": {"AU-9": "a changed or removed log file is found out"},
        "HIPAA": {"164.312(c)(2)": "for the logs alone, not for health records"},
        "GDPR": {"5(2)": "the record can be shown to be unchanged"},
    },
    "bucket-access-log": {
        "FedRAMP": {"AU-2": "requests for objects are among the logged events", "AU-12": "records are made"},
        "HIPAA": {"164.312(b)": "a mechanism records who asked for which object, on a best-effort basis"},
    },
    "flow-logs": {
        "FedRAMP": {"AU-12": "records of network connections are made"},
        "HIPAA": {"164.312(b)": "a mechanism records network connections"},
    },
    "regional-things": {
        "FedRAMP": {"SA-9(5)": "EC2, EBS and CloudWatch Logs are used in the decided regions alone"},
        "GDPR": {"44": "the region in which EC2, EBS and CloudWatch Logs keep data"},
    },
    "bucket-place": {
        "FedRAMP": {"SA-9(5)": "S3 is used in the decided regions alone"},
        "GDPR": {"44": "the region in which S3 keeps data"},
    },
    "bucket-lifecycle": {
        "FedRAMP": {"SI-12": "objects are deleted after a time"},
        "GDPR": {"5(1)(e)": "objects are deleted after a time", "25(2)": "the period of storage is limited by default"},
    },
    "bucket-versioning": {
        "FedRAMP": {"CP-9": "the version before an overwriting is kept"},
        "HIPAA": {"164.312(c)(1)": "an overwritten or deleted object can be had back"},
        "GDPR": {"32(1)(c)": "an overwritten or deleted object can be had back"},
    },
    "log-retention": {
        "FedRAMP": {"AU-11": "the number of days of CloudWatch's log groups", "SI-12": "logs are deleted after a time"},
        "GDPR": {"5(1)(e)": "logs, which hold personal data more often than one thinks, are deleted after a time"},
    },
    "root-user": {
        "FedRAMP": {"IA-2(1)": "the root user's second factor", "AC-6": "the root user has no keys for daily work"},
        "HIPAA": {"164.312(d)": "the root user's second factor", "164.312(a)(2)(i)": "nobody works as the root user"},
        "GDPR": {"32(1)(b)": "confidentiality of the account"},
    },
    "console-mfa": {
        "FedRAMP": {"IA-2(1)": "second factors of IAM users", "IA-2(2)": "second factors of IAM users"},
        "HIPAA": {"164.312(d)": "who logs in with a password shows a second factor"},
        "GDPR": {"32(1)(b)": "confidentiality of the account"},
    },
    "key-age": {
        "FedRAMP": {"IA-5": "access keys are changed after a time"},
        "HIPAA": {"164.312(d)": "an access key that was lost stops counting after a time"},
        "GDPR": {"32(1)(b)": "confidentiality of the account"},
    },
    "unused": {
        "FedRAMP": {"AC-2": "accounts that nobody uses are found", "AC-2(3)": "accounts that nobody uses are found"},
        "HIPAA": {"164.312(a)(1)": "access that nobody needs any more is found"},
        "GDPR": {"32(1)(b)": "confidentiality of the account"},
    },
    "administrators": {
        "FedRAMP": {"AC-6": "nobody has all permissions without a decision", "AC-6(5)": "who has them is listed"},
        "HIPAA": {"164.312(a)(1)": "nobody has all permissions without a decision"},
        "GDPR": {"25(2)": "access is not unlimited by default", "32(1)(b)": "confidentiality of the account"},
    },
    "bucket-private": ACCESS,
    "security-groups": {
        "FedRAMP": {"SC-7": "what security groups let in from the internet", "SC-7(5)": "no port is open to everybody"},
        "HIPAA": {"164.312(a)(1)": "not everybody may connect"},
        "GDPR": {"32(1)(b)": "confidentiality of what runs"},
    },
    "imdsv2": {
        "FedRAMP": {"AC-3": "a role's credentials are given out against a token only"},
        "HIPAA": {"164.312(a)(1)": "a role's credentials are given out against a token only"},
        "GDPR": {"32(1)(b)": "confidentiality of an instance's credentials"},
    },
}

PEOPLE: dict[tuple[str, str], str] = {
    ("FedRAMP", "AC-2"): "decide who gets an account and why, review that, and take it away when somebody leaves",
    ("FedRAMP", "AC-2(3)"): "decide the time limits and see to the disabling",
    ("FedRAMP", "AC-3"): "decide who may read which data; every other way in",
    ("FedRAMP", "AC-6"): "decide what each task needs; permissions below all of them",
    ("FedRAMP", "AC-6(5)"): "decide by name who administers",
    ("FedRAMP", "AU-2"): "decide which events matter, with reasons, and review that; events inside your programs",
    ("FedRAMP", "AU-9"): "decide who may read and delete logs; the log bucket's own permissions",
    ("FedRAMP", "AU-11"): "decide the time, from law and need; logs outside CloudWatch",
    ("FedRAMP", "AU-12"): "events of systems and programs that AWS doesn't see",
    ("FedRAMP", "CP-9"): "decide what is backed up how often, keep copies apart, and restore one as a test",
    ("FedRAMP", "IA-2(1)"): "logins that come from elsewhere (IAM Identity Center, a directory); the kind of factor",
    ("FedRAMP", "IA-2(2)"): "logins that come from elsewhere (IAM Identity Center, a directory); the kind of factor",
    ("FedRAMP", "IA-5"): "how keys and passwords are handed over, kept and withdrawn",
    ("FedRAMP", "SA-9(5)"): "decide the regions, write them into contracts; every other service, replication, support",
    ("FedRAMP", "SC-7"): "the boundary as a whole: network ACLs, load balancers, gateways, who watches them",
    ("FedRAMP", "SC-7(5)"): "decide the exceptions; egress; prefix lists and peered networks",
    ("FedRAMP", "SC-8"): "every connection that is not to S3",
    ("FedRAMP", "SC-8(1)"): "whether the cryptography is the validated one that FedRAMP asks for",
    ("FedRAMP", "SC-28"): "decide what has to be protected; every other service; who may use the keys",
    ("FedRAMP", "SC-28(1)"): "whether the cryptography is the validated one that FedRAMP asks for",
    ("FedRAMP", "SI-12"): "decide how long which information is kept; legal holds; copies elsewhere",
    ("HIPAA", "164.312(a)(1)"): "decide who may see health information (164.308(a)(4)); access inside your programs",
    ("HIPAA", "164.312(a)(2)(i)"): "one name for each person, also where people share a role or a machine",
    ("HIPAA", "164.312(a)(2)(iv)"): "assess and document; every other store; who may decrypt",
    ("HIPAA", "164.312(b)"): "examine the records; what your programs do with health information",
    ("HIPAA", "164.312(c)(1)"): "policies against improper change; who may delete versions",
    ("HIPAA", "164.312(c)(2)"): "a mechanism for the health information itself, such as checksums",
    ("HIPAA", "164.312(d)"): "verify the person behind the factor; logins from elsewhere",
    ("HIPAA", "164.312(e)(1)"): "every connection that is not to S3",
    ("HIPAA", "164.312(e)(2)(i)"): "every connection that is not to S3; assess and document",
    ("HIPAA", "164.312(e)(2)(ii)"): "every connection that is not to S3; assess and document",
    ("GDPR", "5(1)(e)"): "decide for each purpose how long it needs the data; copies, models trained on them",
    ("GDPR", "5(1)(f)"): "measures that fit the risk; integrity of the data themselves; loss and damage",
    ("GDPR", "5(2)"): "records of processing, contracts, decisions: the checks are a small part of the evidence",
    ("GDPR", "25(2)"): "decide which data the purpose needs at all",
    ("GDPR", "32(1)(a)"): "pseudonymise where it fits; every other service; who may decrypt",
    ("GDPR", "32(1)(b)"): "measures that fit the risk, which people assess; availability and resilience",
    ("GDPR", "32(1)(c)"): "restore as a test, in time; physical incidents",
    ("GDPR", "44"): "find out who reaches the data from where, under which contract; sub-processors, support",
}
