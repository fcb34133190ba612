// Loads the page. When a part of it does not come, because the phone changes from one network to another just then, all of it
// is loaded again, up to five times: half a page does nothing.
const tried = Number(sessionStorage.getItem('loads') ?? 0);
import('/assets/page.js').then(() => sessionStorage.removeItem('loads'), (error) => {
  console.warn(error);
  if (tried >= 5) return;
  sessionStorage.setItem('loads', tried + 1);
  setTimeout(() => location.reload(), 1000 * 2 ** tried);
});
