-- Settlement reports: what a processor says it settled, kept as it came, and how each of its lines compares with ours.
create table payments.settlement_report (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    report_id     text        not null,
    connection_id text        not null,
    format        text        not null check (format in ('adyen', 'generic', 'stripe')),
    state         text        not null check (state in ('open', 'received', 'done', 'failed')),
    -- What the sender says the file's SHA-256 is; nothing is compared before it is.
    digest        bytea       not null check (length(digest) = 32),
    -- Whose attempts the report has to name: in this time, or, where it was not said, between the first and the last
    -- that it names.
    period_from   timestamptz,
    period_to     timestamptz,
    -- Bytes of the file that were taken, at the end of a line; and the line with which the next begins.
    received      bigint      not null default 0,
    next_line     bigint      not null default 1,
    pieces        integer     not null default 0,
    header        text[],
    -- How far the comparison is. Each of its steps commits what it found and this together.
    run           integer     not null default 1,
    step          text        not null default 'clear' check (step in ('clear', 'check', 'read', 'look', 'done')),
    next_piece    integer     not null default 0,
    next_attempt  text,
    first_attempt text,
    last_attempt  text,
    lines         bigint      not null default 0,
    matched           bigint  not null default 0,
    missing_here      bigint  not null default 0,
    missing_there     bigint  not null default 0,
    amount_differs    bigint  not null default 0,
    currency_differs  bigint  not null default 0,
    doubled           bigint  not null default 0,
    kept              bigint  not null default 0,
    -- By currency and kind: lines, gross, fee and net, of the lines that are not doubled.
    totals        jsonb       not null default '{}',
    problem       text,
    created_by    text        not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    ended_at      timestamptz,
    foreign key (merchant_id, mode, connection_id) references payments.connection,
    check (lines = matched + missing_here + amount_differs + currency_differs + doubled + kept)
) with (fillfactor = 70);
-- The same file is one report of a connection; one that failed may come again.
create unique index settlement_report_by_digest on payments.settlement_report (connection_id, digest, merchant_id, mode)
    where state <> 'failed';
create index settlement_report_by_age on payments.settlement_report (created_at);
alter table payments.settlement_report add primary key (merchant_id, mode, report_id);

-- The file, in pieces of whole lines, compressed. It holds no card number: one that does is refused before it is here.
create table payments.settlement_piece (
    merchant_id text    not null,
    mode        text    not null check (mode in ('live', 'test')),
    report_id   text    not null,
    number      integer not null,
    line        bigint  not null,
    bytes       integer not null,
    content     bytea   not null,
    primary key (merchant_id, mode, report_id, number)
);
alter table payments.settlement_piece alter column content set storage external;

-- Each line that moves something, and what it was found to be; behind them those of our attempts that no line names.
create table payments.settlement_line (
    merchant_id         text        not null,
    mode                text        not null check (mode in ('live', 'test')),
    report_id           text        not null,
    run                 integer     not null,
    place               bigint      not null,
    result              text        not null check (result in ('matched', 'missing_here', 'missing_there', 'amount_differs',
                                                               'currency_differs', 'doubled', 'kept')),
    kind                text        not null,
    word                text,
    attempt_id          text,
    payment_id          text,
    processor_reference text,
    our_reference       text,
    batch               text,
    booked_at           timestamptz,
    gross               bigint,
    fee                 bigint,
    net                 bigint,
    currency            text,
    presented_amount    bigint,
    presented_currency  text,
    -- What our attempt came to, in its own currency; and what the line says in that currency.
    expected            bigint,
    expected_currency   text,
    compared            bigint,
    fingerprint         bigint
);
-- Begin with what is nobody else's: an index that begins like the primary key would seem equal to it.
create index settlement_line_by_attempt on payments.settlement_line (attempt_id, report_id, run, merchant_id, mode)
    where attempt_id is not null;
create index settlement_line_by_fingerprint on payments.settlement_line (fingerprint, report_id, run, merchant_id, mode)
    where attempt_id is null and fingerprint is not null;
create index settlement_line_by_result on payments.settlement_line (report_id, run, result, place, merchant_id, mode)
    where result not in ('matched', 'kept');
alter table payments.settlement_line add primary key (merchant_id, mode, report_id, run, place);

-- How a processor calls what it did for us leads to the attempt.
create index attempt_by_movement on payments.attempt (processor_reference, connection_id, merchant_id, mode)
    where processor_reference is not null and operation in ('capture', 'refund', 'sale');

do $$
declare
    each_table text;
    kinds text;
begin
    foreach each_table in array array['settlement_report', 'settlement_piece', 'settlement_line'] loop
        execute format('alter table payments.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on payments.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
    -- One kind of job more, whichever there are by now.
    select pg_get_expr(conbin, conrelid) into kinds from pg_constraint
     where conrelid = 'jobs.job'::regclass and conname = 'job_kind_check';
    alter table jobs.job drop constraint job_kind_check;
    execute format('alter table jobs.job add constraint job_kind_check check ((%s) or kind = ''settlement'')', kinds);
end $$;
-- Who looks for reports that are to go sees, of every tenant, how old each is.
create policy retention on payments.settlement_report for select using (
    current_setting('strongroom.job', true) = 'settlement_retention'
);
