{{ signalwire_logs.newest_rows('voice_log_events', {
  'log_id': 'text',
  'position': 'integer',
  'event_at': 'timestamp',
  'level': 'text',
  'name': 'text',
  'project_id': 'text',
}, key=['log_id', 'position']) }}
